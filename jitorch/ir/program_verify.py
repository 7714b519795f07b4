"""Check a Program: every buffer is there when it is used, freed once, and every launch fits its kernel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.errors import VerifyError
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Buffer, Expr, Kernel, Load, Var
from jitorch.ir.program import (
    Alloc,
    Copy,
    Free,
    If,
    Launch,
    Parallel,
    Place,
    Program,
    Return,
    Scalar,
    Stmt,
    Stop,
    View,
    While,
    walk,
    with_blocks,
)


def verify_program(program: Program) -> Program:
    """Check names, sizes, lifetimes, dtypes and launches; raise `VerifyError` with the program's text.

    Sizes count elements and offsets bytes, both int64.  A buffer from `Alloc` must be freed on every
    way out; one from `Place` may be.  The branches of an `If`, and each turn of a `While`, must leave
    the same buffers alive; what is placed in a block, and views, end with it.  No launch or copy names
    one buffer twice.
    """
    _Verifier(program).run()
    return program


@dataclass
class _State:
    """What is known at one point: live buffers with how they came to be, and defined scalars."""

    live: dict[Buffer, str] = field(default_factory=dict)
    defined: dict[str, Var] = field(default_factory=dict)
    returned: bool = False

    def copy(self) -> _State:
        return _State(dict(self.live), dict(self.defined), self.returned)


def _without_parts(live: dict[Buffer, str], before: dict[Buffer, str]) -> dict[Buffer, str]:
    """``live`` without what began since ``before`` and ends with its block: what is placed, and views."""
    return {b: how for b, how in live.items() if b in before or how == "alloc"}


def _named(body: Iterable[Stmt]) -> Iterator[Stmt]:
    """``body`` without its launches."""
    for stmt in body:
        if not isinstance(stmt, Launch):
            yield with_blocks(stmt, _named)


class _Verifier:
    def __init__(self, program: Program):
        self.program = program

    def wrong(self, what: str, expected: object = None, actual: object = None) -> NoReturn:
        raise VerifyError(f"program {self.program.name}: {what}", ir=self.program, expected=expected, actual=actual)

    def run(self) -> None:
        program = self.program
        given = (*program.inputs, *program.outputs, *([program.status] if program.status else []))
        names = [p.name for p in (*given, *program.scalars)]
        if len(set(names)) != len(names):
            self.wrong("two parameters share a name")
        if unknown := set(program.sizes) - {b.name for b in given}:
            self.wrong(f"sizes of {', '.join(sorted(unknown))}, which are no parameters")
        self.kernels(program.kernels)
        if program.status is not None and program.status.dtype is not dtypes.int32:
            self.wrong("status buffer", "int32", program.status.dtype.name)
        state = _State(dict.fromkeys(given, "parameter"), {v.name: v for v in program.scalars})
        for buffer in (*program.inputs, *program.outputs):
            if buffer.name not in program.sizes:
                self.wrong(f"parameter {buffer.name} has no size")
        for size in (*program.sizes.values(), *([program.arena] if program.arena is not None else [])):
            self.expr(size, k.INDEX, state)
        self.block(program.body, state)
        self.leaks(state)

    def kernels(self, kernels: Iterable[Kernel]) -> None:
        seen: dict[str, Kernel] = {}
        for kernel in kernels:
            if seen.setdefault(kernel.name, kernel) != kernel:
                self.wrong(f"two kernels are called {kernel.name}")
            k.verify(kernel)

    def leaks(self, state: _State) -> None:
        leaked = [b.name for b, how in state.live.items() if how == "alloc"]
        if leaked and not state.returned:
            self.wrong(f"{', '.join(leaked)} is never freed")

    def expr(self, e: Expr, dtype: DType | None, state: _State) -> None:
        for part in k.walk(e):
            if isinstance(part, Var) and state.defined.get(part.name) != part:
                self.wrong(f"scalar {part} is not defined here")
            if isinstance(part, Load):
                self.used(part.buffer, state)
        if dtype is not None and e.dtype is not dtype:
            self.wrong(f"dtype of {e}", dtype.name, e.dtype.name)

    def used(self, buffer: Buffer, state: _State) -> None:
        if buffer not in state.live:
            self.wrong(f"buffer {buffer.name} is used before it is allocated or after it is freed")

    def begin(self, buffer: Buffer, how: str, state: _State) -> None:
        if any(b.name == buffer.name for b in state.live):
            self.wrong(f"buffer {buffer.name} is allocated while it is alive")
        state.live[buffer] = how

    def block(self, body: Iterable[Stmt], state: _State) -> None:
        for stmt in body:
            if state.returned:
                self.wrong(f"statement after return: {stmt}")
            self.statement(stmt, state)

    def statement(self, stmt: Stmt, state: _State) -> None:
        match stmt:
            case Alloc(buffer, size):
                self.expr(size, k.INDEX, state)
                self.begin(buffer, "alloc", state)
            case Place(buffer, size, offset):
                self.expr(size, k.INDEX, state)
                self.expr(offset, k.INDEX, state)
                if self.program.arena is None:
                    self.wrong(f"buffer {buffer.name} is placed, but the program has no arena")
                self.begin(buffer, "place", state)
            case View(buffer, source, size, offset):
                self.used(source, state)
                self.expr(size, k.INDEX, state)
                self.expr(offset, k.INDEX, state)
                if buffer.dtype is not source.dtype:
                    self.wrong(f"view of {source.name}", source.dtype.name, buffer.dtype.name)
                if state.live.get(buffer) != "view":
                    self.begin(buffer, "view", state)
            case Free(buffer):
                if state.live.pop(buffer, "parameter") in ("parameter", "view"):
                    self.wrong(f"buffer {buffer.name} is freed, but is not alive, a parameter or a view")
            case Launch(kernel, args):
                self.launch(kernel, args, state)
            case Copy(target, source, size):
                self.used(target, state)
                self.used(source, state)
                self.expr(size, k.INDEX, state)
                if target.dtype is not source.dtype or target == source:
                    self.wrong(f"copy of {source} to {target}")
            case Scalar(var, value):
                self.expr(value, var.dtype, state)
                if state.defined.get(var.name, var) != var:
                    self.wrong(f"scalar {var} changes its dtype")
                state.defined[var.name] = var
            case If(test, then, orelse):
                self.expr(test, dtypes.bool_, state)
                self.branches(then, orelse, state)
            case While(before, test, inner):
                self.loop(before, test, inner, state)
            case Parallel():
                self.parallel(stmt, state)
            case Return():
                self.leaks(state)
                state.returned = True
            case Stop(code):
                if self.program.status is None or code == 0:
                    self.wrong("a stop needs a status, and a code that is not 0")
                state.returned = True
            case _:
                self.wrong(f"unknown statement {stmt!r}")

    def branches(self, then: Iterable[Stmt], orelse: Iterable[Stmt], state: _State) -> None:
        ends = [state.copy(), state.copy()]
        for body, end in zip((then, orelse), ends, strict=True):
            self.inner(body, end)
        going = [end for end in ends if not end.returned]
        if not going:
            state.returned = True
            return
        if any(end.live != going[0].live for end in going):
            self.wrong("the branches of an if leave different buffers alive")
        common = set.intersection(*(set(end.defined) for end in going))
        state.live = going[0].live
        state.defined = {name: going[0].defined[name] for name in going[0].defined if name in common}

    def inner(self, body: Iterable[Stmt], state: _State) -> None:
        """A block inside of a statement: what it placed, and views, end with it."""
        before = dict(state.live)
        self.block(body, state)
        state.live = _without_parts(state.live, before)

    def loop(self, before: Iterable[Stmt], test: Expr, inner: Iterable[Stmt], state: _State) -> None:
        at_head = dict(state.live)
        self.block(before, state)
        self.expr(test, dtypes.bool_, state)
        turn = state.copy()
        self.block(inner, turn)
        state.live = _without_parts(state.live, at_head)
        turn.live = _without_parts(turn.live, at_head)
        if not turn.returned and turn.live != at_head:
            self.wrong("a turn of a loop leaves other buffers alive than it found")

    def parallel(self, stmt: Parallel, state: _State) -> None:
        self.expr(stmt.extent, k.INDEX, state)
        inside, names = state.copy(), set[str]()
        for part in walk(stmt.body):
            match part:
                case Alloc() | Place() | Free() | Return() | Stop() | Parallel():
                    self.wrong(f"in a parallel statement: {part}")
                case Launch(kernel, args) if self.program.status in args:
                    self.wrong(f"in a parallel statement: a launch of {kernel.name}, which may stop")
                case Scalar(var):
                    names.add(var.name)
                case View(buffer):
                    names.add(buffer.name)
        if stmt.var.name in names | set(state.defined) or stmt.var.dtype is not k.INDEX:
            self.wrong(f"the variable of a parallel statement, {stmt.var.typed}, is not its own or no index")
        inside.live = {b: how for b, how in state.live.items() if b.name not in names}
        inside.defined = {name: var for name, var in state.defined.items() if name not in names}
        before = dict(inside.live)
        # What all of them name is the same, so it does not know the variable.
        self.block(tuple(_named(stmt.body)), inside)
        inside.live, inside.defined[stmt.var.name] = before, stmt.var
        self.block(stmt.body, inside)
        del inside.defined[stmt.var.name]
        state.defined |= inside.defined

    def launch(self, kernel: Kernel, args: tuple[Buffer | Expr, ...], state: _State) -> None:
        if len(args) != len(kernel.params):
            self.wrong(f"launch of {kernel.name}", f"{len(kernel.params)} arguments", len(args))
        for param, arg in zip(kernel.params, args, strict=True):
            if isinstance(param, Buffer) != isinstance(arg, Buffer) or param.dtype is not arg.dtype:
                self.wrong(f"argument {param.name} of {kernel.name}", param, arg)
            if isinstance(arg, Buffer):
                self.used(arg, state)
            else:
                self.expr(arg, None, state)
        buffers = [a for a in args if isinstance(a, Buffer)]
        if len(set(buffers)) != len(buffers):
            self.wrong(f"launch of {kernel.name} names one buffer twice")
