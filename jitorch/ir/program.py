"""Program: the host language, what runs between kernels.

    program = Program(name, params, kernels, body)
    param   = Buffer with a size | Var (a scalar: a size, or a Python number)
    stmt    = Alloc(buffer, size)             fresh memory, contents undefined
            | Place(buffer, size, offset)     the same, at a byte offset of the arena: what planning makes of Alloc
            | View(buffer, source, size, offset)  a part of another buffer, from an element on; ends with its block.
                                              Another view of the same name moves it, for the blocks around as well
            | Free(buffer)
            | Launch(kernel, args)            args match the kernel's params: Buffer or Expr
            | Copy(target, source, size)      size in elements
            | Scalar(var, value)              name a host scalar
            | If(test, then, orelse) | While(test_body, test, body)
            | Parallel(var, extent, body)   ``body`` for each ``var`` below ``extent``, in any order or at once
            | Return()
            | Stop(code)                      set the status, which is not 0, and return

Sizes count elements, offsets bytes; both are kernel expressions over the program's scalar
parameters and `Scalar` names, so a program serves every size its graph stands for.  Inputs come
first among the parameters, then outputs (the caller allocates them), then scalars, then the
``status`` buffer if there is one: an int32 that kernels set to a non-zero code when an index is
out of range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from jitorch.ir import notation
from jitorch.ir.kernel import Buffer, Expr, Kernel, Var, loads


@dataclass(frozen=True, slots=True)
class Alloc:
    buffer: Buffer
    size: Expr

    def __str__(self) -> str:
        return f"alloc {self.buffer} of {self.size}"


@dataclass(frozen=True, slots=True)
class Place:
    buffer: Buffer
    size: Expr
    offset: Expr

    def __str__(self) -> str:
        return f"place {self.buffer} of {self.size} at {self.offset}"


@dataclass(frozen=True, slots=True)
class View:
    """``buffer`` names the ``size`` elements of ``source`` from element ``offset`` on."""

    buffer: Buffer
    source: Buffer
    size: Expr
    offset: Expr

    def __str__(self) -> str:
        return f"view {self.buffer} of {self.size} in {notation.name(self.source.name)} at {self.offset}"


@dataclass(frozen=True, slots=True)
class Free:
    buffer: Buffer

    def __str__(self) -> str:
        return f"free {notation.name(self.buffer.name)}"


@dataclass(frozen=True, slots=True)
class Launch:
    kernel: Kernel
    args: tuple[Buffer | Expr, ...]

    def __str__(self) -> str:
        args = ", ".join(notation.name(a.name) if isinstance(a, Buffer) else str(a) for a in self.args)
        return f"launch @{notation.name(self.kernel.name)}({args})"


@dataclass(frozen=True, slots=True)
class Copy:
    target: Buffer
    source: Buffer
    size: Expr

    def __str__(self) -> str:
        return f"copy {notation.name(self.target.name)} = {notation.name(self.source.name)} of {self.size}"


@dataclass(frozen=True, slots=True)
class Scalar:
    var: Var
    value: Expr

    def __str__(self) -> str:
        return f"let {self.var.typed} = {self.value}"


@dataclass(frozen=True, slots=True)
class If:
    test: Expr
    then: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...] = ()

    def __str__(self) -> str:
        otherwise = f" else {notation.block(self.orelse)}" if self.orelse else ""
        return f"if {self.test} {notation.block(self.then)}{otherwise}"


@dataclass(frozen=True, slots=True)
class While:
    """Run ``before``, stop if ``test`` is false, run ``body``, again."""

    before: tuple[Stmt, ...]
    test: Expr
    body: tuple[Stmt, ...]

    def __str__(self) -> str:
        return f"loop {notation.block((*self.before, f'while {self.test}', *self.body))}"


@dataclass(frozen=True, slots=True)
class Parallel:
    """Run ``body`` for every ``var`` from 0 below ``extent``, in any order or at once.

    None may touch memory that another one writes.  Host scalars and views that ``body`` sets are its own, and it sets
    them before it reads them; ``var`` is an argument of launches and nothing else, so they are the same for each
    ``var``.  Behind the statement they are what ``body`` left.  It does not return, stop, allocate or free.
    """

    var: Var
    extent: Expr
    body: tuple[Stmt, ...]

    def __str__(self) -> str:
        return f"for {notation.name(self.var.name)} in parallel({self.extent}) {notation.block(self.body)}"


@dataclass(frozen=True, slots=True)
class Return:
    def __str__(self) -> str:
        return "return"


@dataclass(frozen=True, slots=True)
class Stop:
    """Leave with status ``code``."""

    code: int

    def __str__(self) -> str:
        return f"stop {self.code}"


Stmt = Alloc | Place | View | Free | Launch | Copy | Scalar | If | While | Parallel | Return | Stop


def inner(stmt: Stmt) -> tuple[tuple[Stmt, ...], ...]:
    """The blocks inside of a statement."""
    match stmt:
        case If(_, then, orelse):
            return then, orelse
        case While(before, _, body):
            return before, body
        case Parallel(_, _, body):
            return (body,)
    return ()


def with_blocks(stmt: Stmt, change: Callable[[tuple[Stmt, ...]], Iterable[Stmt]]) -> Stmt:
    """``stmt`` with what ``change`` makes of each block inside of it."""
    match stmt:
        case If(test, then, orelse):
            return If(test, tuple(change(then)), tuple(change(orelse)))
        case While(before, test, body):
            return While(tuple(change(before)), test, tuple(change(body)))
        case Parallel(var, extent, body):
            return Parallel(var, extent, tuple(change(body)))
    return stmt


def expressions(stmt: Stmt) -> tuple[Expr, ...]:
    """The expressions of a statement itself, not those of the blocks in it."""
    match stmt:
        case Alloc(_, e) | Copy(_, _, e) | Scalar(_, e) | If(e) | While(_, e) | Parallel(_, e):
            return (e,)
        case Place(_, size, offset) | View(_, _, size, offset):
            return size, offset
        case Launch(_, args):
            return tuple(a for a in args if not isinstance(a, Buffer))
    return ()


def used(stmt: Stmt) -> tuple[Buffer, ...]:
    """The buffers that a statement itself reads or writes, not those of the blocks in it."""
    match stmt:
        case Launch(_, args):
            return tuple(a for a in args if isinstance(a, Buffer))
        case Copy(target, source, _):
            return target, source
        case View(_, source, _, _):
            return (source,)
        case Scalar(_, e) | If(e) | While(_, e):
            return tuple(load.buffer for load in loads(e))
    return ()


def walk(body: Iterable[Stmt]) -> Iterator[Stmt]:
    """Every statement of ``body`` and of the blocks in it, in the order of the text."""
    for stmt in body:
        yield stmt
        for block in inner(stmt):
            yield from walk(block)


@dataclass(frozen=True, slots=True)
class Program:
    """``inputs``, ``outputs`` and ``scalars`` are the parameters, in call order.

    ``sizes`` gives the element count of each parameter buffer.  ``arena`` is the number of bytes
    that `Place` statements use (0 before planning).
    """

    name: str
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    scalars: tuple[Var, ...]
    body: tuple[Stmt, ...]
    status: Buffer | None = None
    arena: Expr | None = None
    sizes: dict[str, Expr] = field(default_factory=dict, hash=False)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels launched, each once, in order of first use."""
        return tuple(dict.fromkeys(s.kernel for s in walk(self.body) if isinstance(s, Launch)))

    def __str__(self) -> str:
        """The kernels, then the program."""
        return "\n\n".join([*map(str, self.kernels), self.host_text()])

    def host_text(self) -> str:
        """The text without that of the kernels."""
        lines = [f"input {b}{self._size(b)}" for b in self.inputs]
        lines += [f"output {b}{self._size(b)}" for b in self.outputs]
        lines += [f"scalar {v.typed}" for v in self.scalars]
        lines += [] if self.status is None else [f"status {self.status}{self._size(self.status)}"]
        lines += [] if self.arena is None else [f"arena {self.arena}"]
        return f"program @{notation.name(self.name)} {notation.block((*lines, *self.body))}"

    def _size(self, buffer: Buffer) -> str:
        return f" of {self.sizes[buffer.name]}" if buffer.name in self.sizes else ""
