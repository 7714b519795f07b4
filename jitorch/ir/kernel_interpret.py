"""Run kernels and programs over NumPy arrays: slow, exact, and strict.

The meaning of the two languages, for tests and for reading.  Each element goes through
``scalars.TABLE[fn].numpy`` in its own dtype.  What native code would do silently is a `CompilerBug`
here: an access out of bounds, a read of memory that nothing wrote or that a later `Place` took over,
an assignment to a scalar of another thread, a barrier that some threads of a block never reach, two runs of a parallel
statement that meet in memory which one of them writes.

Both operands of ``where`` are evaluated, as a machine's select does; a guarded access needs an `If`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NoReturn

import numpy as np

from jitorch.dtypes import DType
from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir import scalars
from jitorch.ir.kernel import Buffer, Call, Const, Expr, Kernel, Load, Var
from jitorch.ir.program import Program

_GARBAGE = 0xA5


class Memory:
    """The elements of one buffer: ``data`` (flat) and who wrote each byte last.

    ``owner`` holds a tag a byte and may be shared by memories that overlap; None means that all of it is defined.
    ``runs`` sees each access while a parallel statement runs, ``address`` is that of the first element then.
    """

    __slots__ = ("address", "data", "name", "owner", "runs", "tag")

    def __init__(self, name: str, data: np.ndarray, owner: np.ndarray | None = None, tag: int = 1):
        self.name, self.data, self.owner, self.tag = name, data, owner, tag
        self.runs: _Runs | None = None
        self.address = 0

    @classmethod
    def undefined(cls, buffer: Buffer, size: int) -> Memory:
        """Fresh memory of ``size`` elements, filled with garbage."""
        raw = np.full(size * buffer.dtype.itemsize, _GARBAGE, np.uint8)
        return cls(buffer.name, raw.view(buffer.dtype.numpy), np.zeros(raw.size, np.int32))

    def copy(self) -> Memory:
        return Memory(self.name, self.data.copy(), None if self.owner is None else self.owner.copy(), self.tag)

    def part(self, name: str, start: int, size: int) -> Memory:
        """The ``size`` elements from ``start`` on, as a memory of their own."""
        stop = start + size
        if not 0 <= start <= stop <= self.data.size:
            raise CompilerBug(f"view of {self.name} out of bounds", expected=self.data.size, actual=(start, stop))
        width = self.data.itemsize
        owner = None if self.owner is None else self.owner[start * width : stop * width]
        part = Memory(name, self.data[start:stop], owner, self.tag)
        part.runs, part.address = self.runs, self.address + start * width
        return part

    def _owners(self, index: int) -> np.ndarray | None:
        if not 0 <= index < self.data.size:
            raise CompilerBug(
                f"access to {self.name} out of bounds", expected=f"0 <= index < {self.data.size}", actual=index
            )
        size = self.data.itemsize
        return None if self.owner is None else self.owner[index * size : (index + 1) * size]

    def read(self, index: int) -> Any:
        owners = self._owners(index)
        if owners is not None and (owners != self.tag).any():
            raise CompilerBug(f"{self.name}[{index}] is read, but was never written or has been overwritten")
        if self.runs is not None:
            self.runs.read(self, index)
        return self.data[index]

    def write(self, index: int, value: Any) -> None:
        owners = self._owners(index)
        if owners is not None:
            owners[:] = self.tag
        if self.runs is not None:
            self.runs.write(self, index)
        self.data[index] = value


class _Runs:
    """What the runs of a parallel statement touch, by address; ``now`` is the run that goes on."""

    _SEVERAL = -1

    def __init__(self) -> None:
        self.now = 0
        self.readers: dict[int, int] = {}
        self.writers: dict[int, int] = {}

    def read(self, memory: Memory, index: int) -> None:
        place = self._place(memory, index)
        if self.readers.setdefault(place, self.now) != self.now:
            self.readers[place] = self._SEVERAL

    def write(self, memory: Memory, index: int) -> None:
        place = self._place(memory, index)
        if self.writers.setdefault(place, self.now) != self.now or self.readers.get(place, self.now) != self.now:
            self._fail(memory, index, "written", "touched")

    def _place(self, memory: Memory, index: int) -> int:
        place = memory.address + index * memory.data.itemsize
        if self.writers.get(place, self.now) != self.now:
            self._fail(memory, index, "touched", "written")
        return place

    def _fail(self, memory: Memory, index: int, own: str, other: str) -> NoReturn:
        raise CompilerBug(
            f"{memory.name}[{index}] is {own} by run {self.now} of a parallel statement and {other} by another"
        )


def _undefined(buffer: Buffer) -> Memory:
    return Memory.undefined(buffer, buffer.size or 0)


class _Cell:
    """A mutable scalar."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value


Scope = dict[str, Any]
"""What each name stands for: a `Memory`, a `_Cell` or a NumPy scalar."""


def evaluate(e: Expr, scope: Scope) -> Any:
    """The value of ``e`` as a NumPy scalar of its dtype."""
    if isinstance(e, Const):
        return e.dtype.numpy.type(e.value)
    if isinstance(e, Var):
        found = scope[e.name]
        return found.value if isinstance(found, _Cell) else found
    if isinstance(e, Load):
        return scope[e.buffer.name].read(int(evaluate(e.index, scope)))
    if not isinstance(e, Call):
        raise CompilerBug(f"unknown expression {e!r}")
    args = [evaluate(a, scope) for a in e.args]
    result = scalars.cast(args[0], e.dtype) if e.fn == "cast" else scalars.TABLE[e.fn].numpy(*args)
    return np.asarray(result).astype(e.dtype.numpy, copy=False)[()]


class _Threads:
    """Runs statements as generators that pause at each barrier."""

    def __init__(self, kernel: Kernel):
        self.kernel = kernel
        self.shared = {b for b in kernel.scratch if b.space == "shared"}
        self.local = {b for b in kernel.scratch if b.space == "local"}
        self.stores: dict[int, set[Buffer]] = {}

    def block(self, body: Sequence[k.Stmt], scope: Scope, in_threads: bool) -> Generator[None, None, None]:
        for stmt in body:
            match stmt:
                case k.Let(var, value):
                    scope[var.name] = evaluate(value, scope)
                case k.Local(var, init):
                    scope[var.name] = _Cell(evaluate(init, scope))
                case k.Assign(var, value):
                    self.assign(var, evaluate(value, scope), scope)
                case k.Store(buffer, index, value):
                    scope[buffer.name].write(int(evaluate(index, scope)), evaluate(value, scope))
                case k.For(_, _, _, "thread"):
                    yield from self.threads(stmt, scope, in_threads)
                case k.For(_, extent, inner):
                    for i in range(int(evaluate(extent, scope))):
                        yield from self.block(inner, self.iteration(scope, stmt, i), in_threads)
                case k.If(test, then, orelse):
                    yield from self.block(then if evaluate(test, scope) else orelse, dict(scope), in_threads)
                case k.Prefetch():
                    continue
                case k.Barrier():
                    yield
                case _:
                    raise CompilerBug(f"unknown statement {stmt!r}", ir=self.kernel)

    def assign(self, var: Var, value: Any, scope: Scope) -> None:
        cell = scope.get(var.name)
        if not isinstance(cell, _Cell):
            raise CompilerBug(f"{var} is assigned inside a loop whose iterations do not own it", ir=self.kernel)
        cell.value = value

    def iteration(self, scope: Scope, loop: k.For, i: int) -> Scope:
        """The scope of one iteration.

        One that is independent owns no scalar from outside; local memory that it writes is its own,
        undefined at first (a thread's holds what the thread had before).
        """
        inner = dict(scope)
        if loop.kind in ("parallel", "block", "thread"):
            for name, value in scope.items():
                if isinstance(value, _Cell):
                    inner[name] = value.value
            for buffer in self.written(loop) & self.local:
                is_thread = loop.kind == "thread"
                inner[buffer.name] = scope[buffer.name].copy() if is_thread else _undefined(buffer)
        if loop.kind == "block":
            for buffer in self.shared:
                inner[buffer.name] = _undefined(buffer)
        inner[loop.var.name] = loop.var.dtype.numpy.type(i)
        return inner

    def written(self, loop: k.For) -> set[Buffer]:
        """The buffers that a loop stores to."""
        key = id(loop)
        if key not in self.stores:
            self.stores[key] = {s.buffer for s in k.walk(loop) if isinstance(s, k.Store)}
        return self.stores[key]

    def threads(self, loop: k.For, scope: Scope, in_threads: bool) -> Generator[None, None, None]:
        """All iterations in lock step from barrier to barrier; inner loops wait for the threads of the outer ones."""
        scopes = (self.iteration(scope, loop, i) for i in range(int(evaluate(loop.extent, scope))))
        running = [self.block(loop.body, s, True) for s in scopes]
        while running:
            waiting = [thread for thread in running if next(thread, "done") is None]
            if waiting and len(waiting) < len(running):
                raise CompilerBug("only some threads of a block reach a barrier", ir=self.kernel)
            if waiting and in_threads:
                yield
            running = waiting


def run(kernel: Kernel, args: Sequence[Any]) -> None:
    """Run ``kernel``.  ``args`` follow its parameters: arrays (C-contiguous, of the exact dtype; written in place)
    or `Memory` for buffers, numbers for scalars."""
    if len(args) != len(kernel.params):
        raise CompilerBug(f"kernel {kernel.name} takes {len(kernel.params)} arguments", actual=len(args))
    scope: Scope = {b.name: _undefined(b) for b in kernel.scratch}
    for param, arg in zip(kernel.params, args, strict=True):
        if isinstance(param, Var):
            scope[param.name] = param.dtype.numpy.type(arg)
            continue
        scope[param.name] = arg if isinstance(arg, Memory) else Memory(param.name, _flat(arg, param.dtype, param.name))
    with np.errstate(all="ignore"):
        for _ in _Threads(kernel).block(kernel.body, scope, False):
            # A barrier outside of all thread loops: nobody to wait for.
            continue


def _flat(array: np.ndarray, dtype: DType, name: str) -> np.ndarray:
    if array.dtype != dtype.numpy or not array.flags.c_contiguous:
        raise CompilerBug(
            f"argument {name}", expected=f"contiguous {dtype.name}", actual=f"{array.dtype}, {array.flags}"
        )
    return array.reshape(-1)


def program_interpret(
    program: Program, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], given: Sequence[Any] = ()
) -> int:
    """Run ``program``: read ``inputs``, write ``outputs`` in place; ``given`` are the scalars.

    Returns the status code: 0 unless a kernel set the status buffer.
    """
    return _Host(program, inputs, outputs, given).run()


class _Return(Exception):
    """Leaves the program."""


class _Host:
    def __init__(self, program: Program, inputs: Sequence[Any], outputs: Sequence[Any], given: Sequence[Any]):
        arrays = [*inputs, *outputs]
        buffers = (*program.inputs, *program.outputs)
        if len(arrays) != len(buffers) or len(given) != len(program.scalars):
            expected = f"{len(buffers)} buffers, {len(program.scalars)} scalars"
            raise CompilerBug("wrong number of arguments", expected=expected, actual=f"{len(arrays)}, {len(given)}")
        self.program = program
        self.scope: Scope = {v.name: v.dtype.numpy.type(x) for v, x in zip(program.scalars, given, strict=True)}
        for buffer, array in zip(buffers, arrays, strict=True):
            self.scope[buffer.name] = Memory(buffer.name, _flat(array, buffer.dtype, buffer.name))
            if buffer.name in program.sizes and self.size(program.sizes[buffer.name]) != array.size:
                raise CompilerBug(
                    f"size of {buffer.name}", expected=self.size(program.sizes[buffer.name]), actual=array.size
                )
        if program.status is not None:
            self.scope[program.status.name] = Memory(program.status.name, np.zeros(1, program.status.dtype.numpy))
        arena = 0 if program.arena is None else self.size(program.arena)
        self.arena, self.owner = np.full(arena, _GARBAGE, np.uint8), np.zeros(arena, np.int32)
        self.places = 0

    def size(self, e: Expr) -> int:
        return int(evaluate(e, self.scope))

    def run(self) -> int:
        try:
            with np.errstate(all="ignore"):
                self.block(self.program.body)
        except _Return:
            pass  # the program said so
        status = self.program.status
        return 0 if status is None else int(self.scope[status.name].data[0])

    def block(self, body: Sequence[host.Stmt]) -> None:
        for stmt in body:
            match stmt:
                case host.Alloc(buffer, size):
                    self.scope[buffer.name] = Memory.undefined(buffer, self.size(size))
                case host.Place(buffer, size, offset):
                    self.scope[buffer.name] = self.place(buffer, self.size(size), self.size(offset))
                case host.Free(buffer):
                    del self.scope[buffer.name]
                case host.Launch(kernel, args):
                    run(
                        kernel, [self.scope[a.name] if isinstance(a, Buffer) else evaluate(a, self.scope) for a in args]
                    )
                case host.Copy(target, source, size):
                    for i in range(self.size(size)):
                        self.scope[target.name].write(i, self.scope[source.name].read(i))
                case host.Scalar(var, value):
                    self.scope[var.name] = evaluate(value, self.scope)
                case host.If(test, then, orelse):
                    self.block(then if evaluate(test, self.scope) else orelse)
                case host.While(before, test, inner):
                    self.block(before)
                    while evaluate(test, self.scope):
                        self.block(inner)
                        self.block(before)
                case host.Parallel(var, extent, inner):
                    self.parallel(var, self.size(extent), inner)
                case host.Return():
                    raise _Return
                case host.View(buffer, source, size, offset):
                    whole = self.scope[source.name]
                    self.scope[buffer.name] = whole.part(buffer.name, self.size(offset), self.size(size))
                case host.Stop(code):
                    status = self.program.status
                    if status is None:
                        raise CompilerBug("a program without a status stops")
                    self.scope[status.name].data[0] = code
                    raise _Return
                case _:
                    raise CompilerBug(f"unknown statement {stmt!r}")

    def parallel(self, var: Var, count: int, body: Sequence[host.Stmt]) -> None:
        """The runs one after the other; none may see what another one does."""
        runs = _Runs()
        watched = [memory for memory in self.scope.values() if isinstance(memory, Memory)]
        for memory in watched:
            memory.runs, memory.address = runs, memory.data.ctypes.data
        for runs.now in range(count):
            self.scope[var.name] = k.INDEX.numpy.type(runs.now)
            self.block(body)
        self.scope.pop(var.name, None)
        for memory in (*watched, *(m for m in self.scope.values() if isinstance(m, Memory))):
            memory.runs = None

    def place(self, buffer: Buffer, size: int, offset: int) -> Memory:
        """Memory in the arena; its bytes are undefined until written, and lost once another place writes them."""
        end = offset + size * buffer.dtype.itemsize
        if offset < 0 or end > self.arena.size or offset % buffer.dtype.itemsize:
            raise CompilerBug(
                f"place of {buffer.name}", expected=f"inside {self.arena.size} bytes", actual=f"{offset}:{end}"
            )
        self.places += 1
        return Memory(buffer.name, self.arena[offset:end].view(buffer.dtype.numpy), self.owner[offset:end], self.places)
