"""Squares: what a load finds along another axis than vectors run, transposed in registers.

A vector loop that reads along its lanes with a long stride, or by any other way than by neighbours, gathers element by
element.  Where the elements are neighbours along another loop, as many vectors of those as a vector has lanes are read
into a local buffer of constant size, a square, of which every column then is a vector along the lanes.  The square is
an ordinary local buffer, read and written at constant places: the CPU makes registers of it and shuffles for the
columns, and what has no such shuffles reads memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from jitorch.dtypes import DType
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Buffer, Expr, For, Load, Var
from jitorch.lower.target import Target

MOST_LANES = 16
"""A square is not wider: so many registers hold it, and half of those that the best processors have."""
LEAST_LANES = 4
"""Smaller squares do not pay: a vector is gathered as fast."""


def width_of(target: Target, dtype: DType) -> int:
    """Elements along a side of a square; 1 where squares do not pay."""
    lanes = min(target.lanes(dtype), MOST_LANES)
    return lanes if lanes >= LEAST_LANES else 1


@dataclass(frozen=True)
class Square:
    """``width`` neighbours along loop variable ``along``, of each of as many neighbours along ``across``.

    ``load`` moves by one element with ``along``, and anyhow with ``across``.
    """

    load: Load
    along: Var
    across: Var
    buffer: Buffer
    width: int

    def filled(self, first_along: Expr, first_across: Expr) -> k.Stmt:
        """Reads the square that begins there, row by row."""
        row, v = Var(f"{self.buffer.name}_row"), Var(f"{self.buffer.name}_v")
        index = k.substitute(self.load.index, {self.along: first_along + v, self.across: first_across + row})
        store = k.Store(self.buffer, row * self.width + v, Load(self.load.buffer, index))
        return For(row, k.const(self.width), (For(v, k.const(self.width), (store,), "vector"),), "unroll")

    def element(self, along: Expr, across: Expr) -> Load:
        """The element at a place in the square."""
        return Load(self.buffer, across * self.width + along)
