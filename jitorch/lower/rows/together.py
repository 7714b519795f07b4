"""Together: rows whose elements lie along the row, as many at a time as a vector has lanes.

What is carried from element to element of a row is then a vector, and no row waits for another.  What rows read and
store along themselves goes through squares, which are transposed in registers: each line of a cache is read and written
once.  What is behind the last square, or lies otherwise, is gathered element by element.
"""

from __future__ import annotations

from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir.kernel import Buffer, Const, For, Kernel, Let, Load, Stmt, Store, Var
from jitorch.lower.rows.abreast import Block, around_rows, is_simple, rows_of
from jitorch.lower.schedules.squares import Square, over_columns, width_of
from jitorch.lower.schedules.steps import crossing, step
from jitorch.lower.target import Target

MOST_SQUARES = 4
"""Squares that one loop goes through: registers hold one or two of them."""


def together(kernel: Kernel, target: Target) -> Kernel:
    """``kernel`` with the innermost of its parallel loops, over rows, in blocks that go along together in vectors."""
    around, body = rows_of(kernel)
    if not around or kernel.scratch or not is_simple(body):
        return kernel
    rows = around[-1]
    width = min(width_of(target, b.dtype) for b in kernel.params if isinstance(b, Buffer))
    if isinstance(rows.extent, Const) and rows.extent.value.real < width:
        return kernel
    block = _Vectors(rows, width)
    blocks, one = rows.extent // width, Var(f"{rows.var.name}_rest")
    first = blocks * width
    rest = For(one, rows.extent - first, (Let(rows.var, first + one), *rows.body), rows.kind)
    return around_rows(kernel, around, (replace(block.loop(), extent=blocks), rest), block.scratch)


class _Vectors(Block):
    """Blocks of rows that are vectors."""

    def __init__(self, rows: For, width: int):
        super().__init__(rows, width, width, "vector")
        self.squares: list[Buffer] = []

    @property
    def scratch(self) -> tuple[Buffer, ...]:
        return (*self.buffers.values(), *self.squares)

    def inner_loop(self, loop: For) -> tuple[Stmt, ...]:
        loads = crossing(loop.body, loop.var, self.rows.var)
        stores = [s for s in loop.body if isinstance(s, Store)]
        is_along = all(step(s.index, loop.var) == 1 and step(s.index, self.rows.var) not in (0, 1) for s in stores)
        if not is_along or not 0 < len(loads) + len(stores) <= MOST_SQUARES or any(map(_is_loop, loop.body)):
            return super().inner_loop(loop)
        return self._in_squares(loop, loads, stores)

    def _in_squares(self, loop: For, loads: tuple[Load, ...], stores: list[Store]) -> tuple[Stmt, ...]:
        number, first, width = Var(f"{loop.var.name}_square"), Var(f"{loop.var.name}_first"), self.width
        read = [Square(load, loop.var, self.rows.var, width, len(self.squares) + n) for n, load in enumerate(loads)]
        self.squares += [square.buffer for square in read]
        written: list[Buffer] = []
        for store in stores:
            buffer = Buffer(f"square{len(self.squares)}", store.buffer.dtype, "local", width * width)
            written.append(buffer)
            self.squares.append(buffer)

        def column(column: k.Expr, lane: k.Expr) -> tuple[Stmt, ...]:
            there = {square.load: square.element(column, lane) for square in read}
            body: list[Stmt] = [Let(self.rows.var, self.first + lane), Let(loop.var, first + column)]
            for s in loop.body:
                if isinstance(s, Store):
                    s = Store(written[stores.index(s)], column * width + lane, s.value)
                s = k.transform(s, lambda e: there.get(e, e) if isinstance(e, Load) else e)
                body.append(self.of_row(s, lane))
            return tuple(body)

        def out(store: Store, buffer: Buffer) -> Stmt:
            row, lane = Var("row"), Var("lane")
            index = k.substitute(store.index, {loop.var: first + lane, self.rows.var: self.first + row})
            new = replace(store, index=index, value=Load(buffer, lane * width + row))
            return For(row, k.const(width), (For(lane, k.const(width), (new,), "vector"),), "unroll")

        blocks, rest = loop.extent // width, Var(f"{loop.var.name}_rest")
        filled = [square.filled(first, self.first) for square in read]
        stored = [out(store, buffer) for store, buffer in zip(stores, written, strict=True)]
        body = (Let(first, number * width), *filled, over_columns(width, column), *stored)
        begin = blocks * width
        one_by_one = self.statements((Let(loop.var, begin + rest), *loop.body))
        return For(number, blocks, body, loop.kind), For(rest, loop.extent - begin, one_by_one, loop.kind)


def _is_loop(s: Stmt) -> bool:
    return isinstance(s, For)
