"""Parallel loops: a function over a range of the loop, and the call that shares it out among threads.

The outermost parallel loop of a kernel becomes

    void NAME.loop(buffers..., variables..., low, high)

which runs the iterations from ``low`` to ``high``.  Where the loop stood, the kernel calls it for the whole range, or,
if there is a pool and the work is worth it, leaves the arguments in a frame on its stack and lets the pool call
``NAME.task(frame, low, high)``.  Either way it is the same code, and ranges end where vectors do: results do not depend
on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jitorch.backends.cpu.cost import cost
from jitorch.backends.cpu.expressions import Scope, Slot, Value, evaluate
from jitorch.backends.cpu.pool import HOOK
from jitorch.backends.cpu.text import Function, loops_group, register_type, scratch, symbol
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Assign, Buffer, Const, Expr, For, Kernel, Load, Prefetch, Store, Var

WORTHWHILE = 4_000_000
"""Picoseconds of work below which a loop runs on one thread; sharing it out takes half a microsecond at best."""

_ENOUGH = 64
"""Iterations that need no more loops joined to them."""

_LOW = Var("low")
"""The first iteration of a range."""

Write = Callable[[Function, Scope, tuple[k.Stmt, ...], For], None]
"""Writes statements, and a loop behind them, into a function: its variable runs from %low to %high."""


@dataclass(frozen=True)
class Region:
    """Perfectly nested parallel loops, run as one range of ``total`` iterations of ``body``."""

    loops: tuple[For, ...]

    @property
    def body(self) -> tuple[k.Stmt, ...]:
        return self.loops[-1].body

    @property
    def total(self) -> Expr:
        count = _not_negative(self.loops[0].extent)
        for loop in self.loops[1:]:
            count = count * _not_negative(loop.extent)
        return count

    def loop(self) -> tuple[tuple[k.Stmt, ...], For]:
        """One loop over the range, and what comes before it: the loops' variables are computed from its own.

        Where an extent is no constant, by which to divide takes long, that is done once and the variables go on from
        there.
        """
        if len(self.loops) == 1:
            return (), self.loops[0]
        flat = Var("+".join(loop.var.name for loop in self.loops))
        if all(isinstance(loop.extent, Const) for loop in self.loops[1:]):
            lets = [k.Let(loop.var, place) for loop, place in zip(self.loops, self._places(flat), strict=True)]
            return (), For(flat, self.total, (*lets, *self.body), "parallel")
        counters = [Var(f"{loop.var.name}+") for loop in self.loops]
        before = [k.Local(var, place) for var, place in zip(counters, self._places(_LOW), strict=True)]
        lets = [k.Let(loop.var, var) for loop, var in zip(self.loops, counters, strict=True)]
        return tuple(before), For(flat, self.total, (*lets, *self.body, *self._following(counters)), "parallel")

    def _places(self, flat: Expr) -> list[Expr]:
        """The values of the loops' variables in iteration ``flat``."""
        places: list[Expr] = []
        for loop in reversed(self.loops[1:]):
            places.append(flat % loop.extent)
            flat = flat // loop.extent
        return [flat, *reversed(places)]

    def _following(self, counters: list[Var]) -> tuple[k.Stmt, ...]:
        """What makes the variables those of the next iteration."""
        steps: tuple[k.Stmt, ...] = ()
        for loop, var in zip(self.loops, counters, strict=True):
            further = k.Assign(var, var + 1)
            is_over = k.If(var >= loop.extent, (k.Assign(var, k.const(0)), *steps))
            steps = (further, is_over) if loop is not self.loops[0] else (further,)
        return steps


def region_of(loop: For) -> Region:
    """``loop`` and the parallel loops right inside of it, but for the innermost, which is left whole for vectors."""
    loops = [loop]
    while True:
        outer = loops[-1]
        inner = outer.body[0]
        if len(outer.body) != 1 or not isinstance(inner, For) or inner.kind != "parallel":
            break
        if not _has_loops(inner.body) or not _is_fixed(inner.extent, loops):
            break
        if isinstance(size := Region(tuple(loops)).total, Const) and size.value >= _ENOUGH:  # type: ignore[operator]
            break
        loops.append(inner)
    return Region(tuple(loops))


def share(function: Function, scope: Scope, kernel: Kernel, name: str, loop: For, write: Write) -> bool:
    """Write ``loop`` into ``function`` as a call that may run on several threads; False if it should stay a loop."""
    used = list(k.parts(loop))
    names = {part.name for part in used if isinstance(part, Var)}
    outer = {n: scope.variables[n] for n in scope.variables if n in names}
    if any(isinstance(s, Assign) and s.var.name in outer for s in used):
        return False  # its iterations meet in a variable
    buffers = list(dict.fromkeys(part.buffer for part in used if isinstance(part, (Load, Prefetch, Store))))
    private = [b for b in buffers if b.space != "global"]
    if any(b in _used_outside_of_loops(kernel.body) for b in private):
        return False
    region = region_of(loop)
    each = cost(region.body, outer.keys())
    work = region.total * each
    if isinstance(work, Const) and work.value < WORTHWHILE:  # type: ignore[operator]
        return False
    arguments = _Arguments(function, scope, [b for b in buffers if b.space == "global"], outer)
    body, task = _functions(function, name, arguments, region, private, write)
    total = evaluate(function, scope, region.total).text
    picoseconds = evaluate(function, scope, work).text
    _call(function, arguments, body, task, total, picoseconds, _grain(region, each))
    return True


class _Arguments:
    """What a loop reads of the kernel around it: how it is passed, and its names in the kernel and in the loop."""

    def __init__(self, function: Function, scope: Scope, buffers: list[Buffer], outer: dict[str, Value | Slot]):
        self.inner = Scope()
        self.types: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[str] = []
        for buffer in buffers:
            self.inner.pointers[buffer.name] = self._add("ptr", scope.pointers[buffer.name])
            self.attributes[-1] = f" noalias captures(none) align {buffer.dtype.itemsize}"
        for name, value in outer.items():
            type = register_type(value.dtype)
            if isinstance(value, Slot):
                text = function.op(f"load {type}, ptr {value.pointer}")
                self.inner.variables[name] = Value(self._add(type, text), value.dtype)
            elif value.text.startswith("%"):
                self.inner.variables[name] = Value(self._add(type, value.text), value.dtype)
            else:
                self.inner.variables[name] = value  # a literal

    def _add(self, type: str, text: str) -> str:
        self.types.append(type)
        self.texts.append(text)
        self.attributes.append("")
        return f"%a{len(self.types) - 1}"


def _functions(
    function: Function, name: str, arguments: _Arguments, region: Region, private: list[Buffer], write: Write
) -> tuple[str, str]:
    """Add the loop's function and the pool's task to the module; gives their symbols."""
    module = function.module
    count = sum(1 for other in module.functions if other.startswith(f"{name}.loop"))
    body, task = f"{name}.loop{count}", f"{name}.task{count}"
    module.functions[body] = module.functions[task] = ""
    inner = Function(module)
    scope = arguments.inner
    for buffer in private:
        scope.pointers[buffer.name] = scratch(inner, buffer)
    scope.variables[_LOW.name] = Value("%low", k.INDEX)
    write(inner, scope, *region.loop())
    inner.leave()
    params = [f"{t}{a} %a{n}" for n, (t, a) in enumerate(zip(arguments.types, arguments.attributes))]
    group = loops_group(inner.is_heavy or only_reads(region.body), bool(private))
    head = f"internal void {symbol(body)}({', '.join([*params, 'i64 %low', 'i64 %high'])}) #{group}"
    module.functions[body] = inner.text(head)
    outer = Function(module)
    operands = []
    for number, type in enumerate(arguments.types):
        slot = outer.op(f"getelementptr i64, ptr %frame, i64 {number}")
        operands.append(f"{type} {outer.op(f'load {type}, ptr {slot}, align 8')}")
    outer.do(f"call void {symbol(body)}({', '.join([*operands, 'i64 %low', 'i64 %high'])})")
    outer.do("ret void")
    module.functions[task] = outer.text(f"internal void {symbol(task)}(ptr %frame, i64 %low, i64 %high) #0")
    return symbol(body), symbol(task)


def _call(function: Function, arguments: _Arguments, body: str, task: str, total: str, work: str, grain: int) -> None:
    frame = function.alloca(f"[{max(1, len(arguments.types))} x i64]", 16, "frame")

    def alone() -> None:
        operands = [f"{t} {x}" for t, x in zip(arguments.types, arguments.texts)]
        function.do(f"call void {body}({', '.join([*operands, 'i64 0', f'i64 {total}'])})")

    def described() -> None:
        for number, (type, text) in enumerate(zip(arguments.types, arguments.texts)):
            slot = function.op(f"getelementptr i64, ptr {frame}, i64 {number}")
            function.do(f"store {type} {text}, ptr {slot}, align 8")

    fork(function, task, frame, (total, str(grain), work), described, alone)


def fork(
    function: Function,
    task: str,
    frame: str,
    amounts: tuple[str, str, str],
    described: Callable[[], None],
    alone: Callable[[], None],
) -> None:
    """A call of ``task`` for ranges of a loop by several threads, if there is a pool and it is worth it.

    ``amounts`` are the iterations, what ends of ranges are multiples of, and the picoseconds of all.  ``described``
    writes what fills ``frame``, ``alone`` what runs the loop on this thread.
    """
    total, grain, work = amounts
    function.module.globals.setdefault(HOOK, f"{symbol(HOOK)} = weak hidden global ptr null, align 8")
    single, several, end = function.name("alone"), function.name("several"), function.name("joined")
    pool = function.op(f"load ptr, ptr {symbol(HOOK)}, align 8")
    exists = function.op(f"icmp ne ptr {pool}, null")
    much = function.op(f"icmp uge i64 {work}, {WORTHWHILE}")
    function.branch(function.op(f"and i1 {exists}, {much}"), several, single)
    function.start(single)
    alone()
    function.jump(end)
    function.start(several)
    described()
    function.do(f"call void {pool}(ptr {task}, ptr {frame}, i64 {total}, i64 {grain}, i64 {work})")
    function.jump(end)
    function.start(end)


def _grain(region: Region, each: Expr) -> int:
    """What the ends of ranges are multiples of.

    Iterations so short that LLVM may put several into one vector are cut where vectors end: so an iteration is in the
    vectors, or in what is left over after them, whatever the number of threads.
    """
    if not _has_loops(region.body):
        return 256 if isinstance(each, Const) and each.value < 5_000 else 64  # type: ignore[operator]
    if not isinstance(each, Const) or each.value >= 50_000:  # type: ignore[operator]
        return 1
    return 64


def _has_loops(body: tuple[k.Stmt, ...]) -> bool:
    """Whether there are loops in ``body`` when it runs."""
    return any(isinstance(s, For) and s.kind != "unroll" for s in _statements(body))


def only_reads(body: tuple[k.Stmt, ...]) -> bool:
    """Whether the innermost loops of ``body`` only read memory."""
    loops = [s for s in _statements(body) if isinstance(s, For) and s.kind != "unroll" and not _has_loops(s.body)]
    return bool(loops) and not any(isinstance(s, Store) for loop in loops for s in _statements(loop.body))


def _statements(body: tuple[k.Stmt, ...]) -> Iterator[k.Stmt]:
    """The statements of ``body`` and those in them."""
    for stmt in body:
        yield stmt
        match stmt:
            case For():
                yield from _statements(stmt.body)
            case k.If():
                yield from _statements(stmt.then)
                yield from _statements(stmt.orelse)


def _is_fixed(extent: Expr, around: list[For]) -> bool:
    """Whether the extent of an inner loop is known before the loops around it start."""
    variables = {loop.var.name for loop in around}
    return not any(isinstance(e, Load) or (isinstance(e, Var) and e.name in variables) for e in k.parts(extent))


def _not_negative(e: Expr) -> Expr:
    if isinstance(e, Const):
        return k.const(max(0, int(e.value)))  # type: ignore[arg-type]
    return k.call("maximum", e, 0)


def _used_outside_of_loops(body: tuple[k.Stmt, ...]) -> set[Buffer]:
    """Buffers that statements outside of parallel loops use."""
    found: set[Buffer] = set()
    for stmt in body:
        match stmt:
            case For(_, extent, _, "parallel"):
                parts: object = extent
            case For(_, extent, inner):
                found |= _used_outside_of_loops(inner)
                parts = extent
            case k.If(test, then, orelse):
                found |= _used_outside_of_loops(then) | _used_outside_of_loops(orelse)
                parts = test
            case _:
                parts = stmt
        found |= {part.buffer for part in k.parts(parts) if isinstance(part, (Load, Prefetch, Store))}
    return found
