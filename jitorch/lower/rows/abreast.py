"""Abreast: reductions of rows whose elements lie apart, for many rows at a time.

Where neighbouring rows lie next to each other (the columns of a matrix), going along one row touches a cache line for
each element.  Here a block of neighbouring rows goes along together: what was one variable is one a row, in a small
local buffer, and the innermost loop runs over the rows of the block, which vectors can do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir.kernel import Assign, Buffer, Const, Expr, For, Kernel, Let, Load, Local, Stmt, Store, Var
from jitorch.lower.schedules.steps import step

WIDE, NARROW = 64, 16
"""Rows of a block: some vectors, or a cache line of f32 where there are not many rows."""
MANY_ROWS = 512


def abreast(kernel: Kernel) -> Kernel:
    """``kernel`` with the innermost of its parallel loops in blocks that go along together, if it reads that way."""
    around, body = rows_of(kernel)
    if not around or kernel.scratch or not is_simple(body):
        return kernel
    rows = around[-1]
    count = int(rows.extent.value.real) if isinstance(rows.extent, Const) else None
    if (count is not None and count < NARROW) or not _reads_across(rows):
        return kernel
    width = NARROW if count is not None and count < MANY_ROWS else WIDE
    block = Block(rows, width, count)
    return around_rows(kernel, around, (block.loop(),), tuple(block.buffers.values()))


def rows_of(kernel: Kernel) -> tuple[list[For], tuple[Stmt, ...]]:
    """The parallel loops that end a kernel, the innermost of which is over rows, and what they do."""
    around: list[For] = []
    body = kernel.body[-1:] if all(not _has_parallel(s) for s in kernel.body[:-1]) else kernel.body
    while len(body) == 1 and isinstance(body[0], For) and body[0].kind == "parallel":
        around.append(body[0])
        body = body[0].body
    return around, body


def _has_parallel(s: Stmt) -> bool:
    return any(isinstance(part, For) and part.kind == "parallel" for part in k.parts(s))


def around_rows(kernel: Kernel, around: list[For], new: tuple[Stmt, ...], scratch: tuple[Buffer, ...]) -> Kernel:
    """``kernel`` with ``new`` in the place of the innermost loop of ``around``."""
    for loop in reversed(around[:-1]):
        new = (replace(loop, body=new),)
    return k.verify(replace(kernel, body=(*kernel.body[:-1], *new), scratch=scratch))


def is_simple(body: tuple[Stmt, ...]) -> bool:
    """Whether there are but definitions, stores and serial loops, and in those nothing but one more loop or no loop."""
    for s in body:
        if isinstance(s, For):
            if s.kind != "serial" or not _is_nest(s.body):
                return False
        elif not isinstance(s, (Let, Local, Assign, Store)):
            return False
    return any(isinstance(s, For) for s in body)


def _is_nest(body: tuple[Stmt, ...]) -> bool:
    if any(isinstance(s, For) for s in body):
        return len(body) == 1 and body[0].kind == "serial" and _is_nest(body[0].body)  # type: ignore[union-attr]
    return all(isinstance(s, (Let, Local, Assign, Store)) for s in body)


def _reads_across(rows: For) -> bool:
    """Whether loads in the loops of a row find neighbours in the next rows, and none, nor a store, along the row."""
    across = False
    named = {s.var for s in k.walk(rows) if isinstance(s, (Let, Local))}
    for loop in _loops(rows.body):
        if any(part == rows.var or part in named for part in k.walk(loop.extent)):
            return False
        for part in k.walk(loop.body):
            if not isinstance(part, (Load, Store)):
                continue
            if any(inner in named for inner in k.walk(part.index)):
                return False
            along, aside = step(part.index, loop.var), step(part.index, rows.var)
            if along == 1 and aside not in (0, 1):
                return False
            across = across or (aside == 1 and along not in (0, 1))
    return across


def _loops(body: tuple[Stmt, ...]) -> Iterator[For]:
    for s in body:
        if isinstance(s, For):
            yield s
            yield from _loops(s.body)


class Block:
    """The loop over blocks of ``width`` rows in place of that over rows; those of a block are a loop of ``kind``."""

    def __init__(self, rows: For, width: int, count: int | None, kind: str = "serial"):
        self.kind = kind
        self.rows, self.number, self.lane = rows, Var(f"{rows.var.name}_block"), Var(f"{rows.var.name}_lane")
        self.width, self.first = width, self.number * width
        is_whole = count is not None and count % width == 0
        self.lanes = k.const(width) if is_whole else k.call("minimum", rows.extent - self.first, k.const(width))
        # One of each row: what the statements of a row define outside of its loops.
        self.buffers = {
            s.var.name: Buffer(f"{s.var.name}_lanes", s.var.dtype, "local", width)
            for s in rows.body
            if isinstance(s, (Let, Local))
        }

    def loop(self) -> For:
        blocks = (self.rows.extent + (self.width - 1)) // self.width
        return For(self.number, blocks, self.statements(self.rows.body), self.rows.kind)

    def statements(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """``body`` for all rows of the block: loops go round once, what stands between them once a row."""
        result: list[Stmt] = []
        waiting: list[Stmt] = []

        def close() -> None:
            if waiting:
                row = Let(self.rows.var, self.first + self.lane)
                body = tuple(self.of_row(s, self.lane) for s in waiting)
                result.append(For(self.lane, self.lanes, (row, *body), self.kind))
                waiting.clear()

        for s in body:
            if isinstance(s, For):
                close()
                result += self.inner_loop(s)
            else:
                waiting.append(s)
        close()
        return tuple(result)

    def inner_loop(self, loop: For) -> tuple[Stmt, ...]:
        """A loop of a row for all rows of the block."""
        return (replace(loop, body=self.statements(loop.body)),)

    def of_row(self, s: Stmt, lane: Expr) -> Stmt:
        """``s`` for the row that is number ``lane`` of the block."""

        def there(e: Expr) -> Expr:
            return Load(self.buffers[e.name], lane) if isinstance(e, Var) and e.name in self.buffers else e

        match s:
            case Let(var, e) | Local(var, e) | Assign(var, e):
                value = k.transform(e, there)
                buffer = self.buffers.get(var.name)
                return type(s)(var, value) if buffer is None else Store(buffer, lane, value)
        return k.transform(s, there)
