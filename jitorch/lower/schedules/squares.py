"""Squares: what a load finds along another axis than vectors run, transposed in registers.

A vector loop that reads along its lanes with a long stride, or by any other way than by neighbours, gathers element by
element.  Where the elements are neighbours along another loop, as many vectors of those as a vector has lanes are read
into a local buffer of constant size, a square, of which every column then is a vector along the lanes.  The square is
an ordinary local buffer, read and written at constant places: the CPU makes registers of it and shuffles for the
columns, and what has no such shuffles reads memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jitorch.dtypes import DType
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Buffer, Expr, For, Load, Stmt, Var
from jitorch.lower.schedules.steps import step
from jitorch.lower.target import Target

MOST_LANES = 16
"""A square is not wider: so many registers hold it, half of those that the best processors have."""


def width_of(target: Target, dtype: DType) -> int:
    """Elements along a side of a square."""
    return min(target.lanes(dtype), MOST_LANES)


@dataclass(frozen=True)
class Square:
    """``width`` neighbours along loop variable ``along``, of each of as many neighbours along ``across``.

    ``load`` moves by one element with ``along``, either way, and anyhow with ``across``.
    """

    load: Load
    along: Var
    across: Var
    width: int
    number: int

    @property
    def buffer(self) -> Buffer:
        """Where it is held."""
        return Buffer(f"square{self.number}", self.load.dtype, "local", self.width * self.width)

    def filled(self, first_along: Expr, first_across: Expr) -> Stmt:
        """Reads the square that begins there, row by row."""
        row, lane = Var("row"), Var("lane")
        index = k.substitute(self.load.index, {self.along: first_along + lane, self.across: first_across + row})
        store = k.Store(self.buffer, row * self.width + lane, Load(self.load.buffer, index))
        return For(row, k.const(self.width), (For(lane, k.const(self.width), (store,), "vector"),), "unroll")

    def element(self, column: Expr, lane: Expr) -> Load:
        """Neighbour ``column`` along ``along`` and ``lane`` along ``across``."""
        return Load(self.buffer, lane * self.width + column)


def over_columns(width: int, body: Callable[[Expr, Expr], tuple[Stmt, ...]]) -> Stmt:
    """``body(column, lane)`` for each column, as a vector."""
    column, lane = Var("column"), Var("lane")
    return For(column, k.const(width), (For(lane, k.const(width), body(column, lane), "vector"),), "unroll")


def is_in_squares(kernel: k.Kernel) -> bool:
    """Whether all vectors of ``kernel`` are rows and columns of squares: code as good for any number of them."""
    loops = [s for s in k.parts(kernel) if isinstance(s, For) and s.kind in ("vector", "unroll")]
    if len({loop.extent for loop in loops}) != 1:
        return False
    width = int(loops[0].extent.value.real)  # type: ignore[attr-defined]
    squares = {buffer for buffer in kernel.scratch if buffer.size == width * width}
    read: set[Buffer] = set()
    for loop in loops:
        if loop.kind == "vector":
            read.update(e.buffer for e in k.loads(loop.body) if step(e.index, loop.var) == width)
    rows = [s.value for s in k.parts(kernel) if isinstance(s, k.Store) and s.buffer in squares]
    return bool(squares) and squares <= read and all(isinstance(value, Load) for value in rows)
