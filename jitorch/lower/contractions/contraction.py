"""Contractions read in place: a register-tiled micro-kernel for matrix products and convolutions.

Both are sums over reduction axes of ``a * b``, where one output axis moves only one operand, by one
element: lanes of a vector run along it.  A tile of rows along another axis shares each vector.  The
tile's accumulators are a local buffer with constant indices, which a backend keeps in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jitorch import dtypes
from jitorch.dims import Dim
from jitorch.dtypes import Category, DType
from jitorch.ir import kernel as k
from jitorch.ir.graph import Value
from jitorch.ir.sizes import size_expr
from jitorch.lower.index import Index
from jitorch.lower.nests import kernel_of
from jitorch.lower.pull import Puller
from jitorch.lower.target import Target

VECTOR_BYTES = 64
"""Two registers of AVX2: the width of a tile's rows."""
TILE_ROWS = 6


@dataclass(frozen=True)
class Axis:
    """An axis of the loop nest and its size."""

    var: k.Var
    size: Dim

    @property
    def extent(self) -> k.Expr:
        return size_expr(self.size)


@dataclass(frozen=True)
class Contraction:
    """``out[*outer, rows, lanes] = sum over reduced of a * b``.

    ``a`` does not move along ``lanes`` and ``b`` does not move along ``rows``; both map the values of
    all axes to a load.  ``store`` gives the statements that use a sum.
    """

    outer: tuple[Axis, ...]
    rows: Axis
    lanes: Axis
    reduced: tuple[Axis, ...]
    a: Callable[[dict[k.Var, k.Expr]], k.Expr]
    b: Callable[[dict[k.Var, k.Expr]], k.Expr]
    store: Callable[[dict[k.Var, k.Expr], k.Expr], tuple[k.Stmt, ...]]
    dtype: DType

    @property
    def sums(self) -> DType:
        """The dtype of the sums: half precision is summed in single."""
        is_half = self.dtype.is_floating_point and self.dtype.itemsize < 4
        return dtypes.float32 if is_half else self.dtype

    def product(self, at: dict[k.Var, k.Expr]) -> k.Expr:
        return k.call("mul", k.cast(self.a(at), self.sums), k.cast(self.b(at), self.sums))

    def done(self, at: dict[k.Var, k.Expr], total: k.Expr) -> tuple[k.Stmt, ...]:
        """What is done with a whole sum."""
        return self.store(at, k.cast(total, self.dtype))


def load(puller: Puller, value: Value, coordinates: Sequence[k.Expr]) -> k.Expr:
    return puller.load(value, Index.of(value.type.shape, coordinates))  # type: ignore[union-attr]


def _nest(axes: Sequence[Axis], body: tuple[k.Stmt, ...], first: str = "parallel") -> tuple[k.Stmt, ...]:
    for i, axis in reversed(list(enumerate(axes))):
        body = (k.For(axis.var, axis.extent, body, first if i == 0 else "serial"),)
    return body


def contraction_kernel(name: str, c: Contraction, target: Target) -> k.Kernel:
    """Tiles of registers where sizes are known, else one sum at a time."""
    if not target.is_cpu:
        # A GPU has a thread for each element, not a tile of registers.
        return scalar_kernel(name, c)
    width = max(1, VECTOR_BYTES // c.sums.itemsize)
    if not isinstance(c.rows.size, int) or not isinstance(c.lanes.size, int) or c.dtype.category is Category.COMPLEX:
        return scalar_kernel(name, c)
    scratch: list[k.Buffer] = []
    body: list[k.Stmt] = []
    full_lanes, rest_lanes = divmod(c.lanes.size, width)
    if full_lanes and rest_lanes and rest_lanes < width // 4 and c.lanes.size % 8 == 0:
        full_lanes, rest_lanes, width = c.lanes.size // 8, 0, 8
    if full_lanes:
        block = k.Var("lane_block")
        inner = _row_blocks(c, block * width, width, scratch)
        body.append(k.For(block, k.const(full_lanes), inner))
    if rest_lanes:
        body.extend(_row_blocks(c, k.const(full_lanes * width), rest_lanes, scratch))
    return kernel_of(name, _nest(c.outer, tuple(body)), tuple(scratch))


def _row_blocks(c: Contraction, lane: k.Expr, width: int, scratch: list[k.Buffer]) -> tuple[k.Stmt, ...]:
    size = c.rows.size
    if not isinstance(size, int):
        raise TypeError("row blocks need a constant number of rows")
    blocks, rest = divmod(size, TILE_ROWS)
    statements: list[k.Stmt] = []
    if blocks:
        block = k.Var("row_block")
        inner = _tile(c, block * TILE_ROWS, TILE_ROWS, lane, width, scratch)
        statements.append(k.For(block, k.const(blocks), inner))
    if rest:
        statements.extend(_tile(c, k.const(blocks * TILE_ROWS), rest, lane, width, scratch))
    return tuple(statements)


def _tile(
    c: Contraction, row: k.Expr, rows: int, lane: k.Expr, width: int, scratch: list[k.Buffer]
) -> tuple[k.Stmt, ...]:
    """``rows`` x ``width`` sums in registers."""
    name = f"tile{len(scratch)}"
    tile = k.Buffer(name, c.sums, "local", rows * width)
    scratch.append(tile)
    r, v = k.Var("r"), k.Var("v")
    place = r * width + v
    at: dict[k.Var, k.Expr] = {a.var: a.var for a in (*c.outer, *c.reduced)}
    at |= {c.rows.var: row + r, c.lanes.var: lane + v}
    total = k.call("add", k.Load(tile, place), c.product(at))

    def over(*body: k.Stmt) -> tuple[k.Stmt, ...]:
        return (k.For(r, k.const(rows), (k.For(v, k.const(width), body, "vector"),), "unroll"),)

    return (
        *over(k.Store(tile, place, k.const(0, c.sums))),
        *_nest(c.reduced, over(k.Store(tile, place, total)), "serial"),
        *over(*c.done(at, k.Load(tile, place))),
    )


def scalar_kernel(name: str, c: Contraction) -> k.Kernel:
    """One sum at a time: for sizes that are symbols, rows too short for vectors, and GPUs."""
    at: dict[k.Var, k.Expr] = {a.var: a.var for a in (*c.outer, c.rows, c.lanes, *c.reduced)}
    total = k.Var("total", c.sums)
    body: tuple[k.Stmt, ...] = (
        k.Local(total, k.const(0, c.sums)),
        *_nest(c.reduced, (k.Assign(total, k.call("add", total, c.product(at), reassociate=True)),), "serial"),
        *c.done(at, total),
    )
    return kernel_of(name, _nest((*c.outer, c.rows, c.lanes), body), ())
