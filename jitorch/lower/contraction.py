"""The first recipe for contractions: a register-tiled micro-kernel for matrix products and convolutions.

Both are sums over reduction axes of ``a * b``, where one output axis moves only one operand, by one
element: lanes of a vector run along it.  A tile of rows along another axis shares each vector.  The
tile's accumulators are a local buffer with constant indices, which a backend keeps in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jitorch.dims import Dim
from jitorch.dtypes import Category, DType
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.ir.sizes import size_expr
from jitorch.lower.fuse import unit_axis
from jitorch.lower.index import Index
from jitorch.lower.nests import Buffers, Scalars, kernel_of
from jitorch.lower.pull import Puller

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
    all axes to a load.
    """

    outer: tuple[Axis, ...]
    rows: Axis
    lanes: Axis
    reduced: tuple[Axis, ...]
    a: Callable[[dict[k.Var, k.Expr]], k.Expr]
    b: Callable[[dict[k.Var, k.Expr]], k.Expr]
    store: Callable[[dict[k.Var, k.Expr]], k.Expr]
    dtype: DType


def matmul_kernel(name: str, node: Node, buffers: Buffers, scalars: Scalars, target: str = "cpu") -> k.Kernel:
    """``[*B, M, K] @ [*B, K, N]``."""
    x, y = node.operands
    shape = node.output.type.shape  # type: ignore[union-attr]
    inner: Dim = x.type.shape[-1]  # type: ignore[union-attr]
    batch = tuple(Axis(k.Var(f"b{i}"), d) for i, d in enumerate(shape[:-2]))
    m, n, kk = Axis(k.Var("m"), shape[-2]), Axis(k.Var("n"), shape[-1]), Axis(k.Var("k"), inner)
    puller = Puller(buffers, scalars)

    def load_x(at: dict[k.Var, k.Expr]) -> k.Expr:
        return _load(puller, x, [at[a.var] for a in (*batch, m, kk)])

    def load_y(at: dict[k.Var, k.Expr]) -> k.Expr:
        return _load(puller, y, [at[a.var] for a in (*batch, kk, n)])

    def place(at: dict[k.Var, k.Expr]) -> k.Expr:
        return Index.of(shape, [at[a.var] for a in (*batch, m, n)]).flat()

    along_m = unit_axis(y) != y.type.rank - 1 and unit_axis(x) == x.type.rank - 2  # type: ignore[union-attr]
    rows, lanes, a, b = (n, m, load_y, load_x) if along_m else (m, n, load_x, load_y)
    contraction = Contraction(batch, rows, lanes, (kk,), a, b, place, node.output.type.dtype)  # type: ignore[union-attr]
    return _kernel(name, contraction, buffers[node.output], target)


def convolution_kernel(name: str, node: Node, buffers: Buffers, scalars: Scalars, target: str = "cpu") -> k.Kernel:
    """``x: [G, N, C, *S]``, ``w: [G, O, C, *K]`` to ``[G, N, O, *S']``: lanes along the last of S', rows along O."""
    x, w = node.operands
    stride, dilation = node.attrs["stride"], node.attrs["dilation"]
    shape = node.output.type.shape  # type: ignore[union-attr]
    kernel = w.type.shape[3:]  # type: ignore[union-attr]
    g, b, o = Axis(k.Var("g"), shape[0]), Axis(k.Var("b"), shape[1]), Axis(k.Var("o"), shape[2])
    spatial = tuple(Axis(k.Var(f"s{i}"), d) for i, d in enumerate(shape[3:]))
    channel = Axis(k.Var("c"), x.type.shape[2])  # type: ignore[union-attr]
    taps = tuple(Axis(k.Var(f"k{i}"), d) for i, d in enumerate(kernel))
    puller = Puller(buffers, scalars)

    def load_x(at: dict[k.Var, k.Expr]) -> k.Expr:
        places = [at[s.var] * st + at[t.var] * di for s, t, st, di in zip(spatial, taps, stride, dilation)]
        return _load(puller, x, [at[g.var], at[b.var], at[channel.var], *places])

    def load_w(at: dict[k.Var, k.Expr]) -> k.Expr:
        return _load(puller, w, [at[g.var], at[o.var], at[channel.var], *(at[t.var] for t in taps)])

    def place(at: dict[k.Var, k.Expr]) -> k.Expr:
        return Index.of(shape, [at[a.var] for a in (g, b, o, *spatial)]).flat()

    outer = (g, b, *spatial[:-1])
    contraction = Contraction(
        outer,
        o,
        spatial[-1],
        (channel, *taps),
        load_w,
        load_x,
        place,
        node.output.type.dtype,  # type: ignore[union-attr]
    )
    short = spatial[-1].size
    if isinstance(short, int) and short < 4:
        return _scalar_kernel(name, contraction, buffers[node.output])
    return _kernel(name, contraction, buffers[node.output], target)


def _load(puller: Puller, value: Value, coordinates: Sequence[k.Expr]) -> k.Expr:
    return puller.load(value, Index.of(value.type.shape, coordinates))  # type: ignore[union-attr]


def _nest(axes: Sequence[Axis], body: tuple[k.Stmt, ...], first: str = "parallel") -> tuple[k.Stmt, ...]:
    for i, axis in reversed(list(enumerate(axes))):
        body = (k.For(axis.var, axis.extent, body, first if i == 0 else "serial"),)
    return body


def _kernel(name: str, c: Contraction, out: k.Buffer, target: str) -> k.Kernel:
    if target != "cpu":
        # A GPU has a thread for each element, not a tile of registers.
        return _scalar_kernel(name, c, out)
    width = max(1, VECTOR_BYTES // c.dtype.itemsize)
    if not isinstance(c.rows.size, int) or not isinstance(c.lanes.size, int) or c.dtype.category is Category.COMPLEX:
        return _scalar_kernel(name, c, out)
    scratch: list[k.Buffer] = []
    body: list[k.Stmt] = []
    full_lanes, rest_lanes = divmod(c.lanes.size, width)
    if full_lanes and rest_lanes and rest_lanes < width // 4 and c.lanes.size % 8 == 0:
        full_lanes, rest_lanes, width = c.lanes.size // 8, 0, 8
    if full_lanes:
        block = k.Var("lane_block")
        inner = _row_blocks(c, out, block * width, width, scratch)
        body.append(k.For(block, k.const(full_lanes), inner))
    if rest_lanes:
        body.extend(_row_blocks(c, out, k.const(full_lanes * width), rest_lanes, scratch))
    return kernel_of(name, _nest(c.outer, tuple(body)), tuple(scratch))


def _row_blocks(c: Contraction, out: k.Buffer, lane: k.Expr, width: int, scratch: list[k.Buffer]) -> tuple[k.Stmt, ...]:
    size = c.rows.size
    if not isinstance(size, int):
        raise TypeError("row blocks need a constant number of rows")
    blocks, rest = divmod(size, TILE_ROWS)
    statements: list[k.Stmt] = []
    if blocks:
        block = k.Var("row_block")
        inner = _tile(c, out, block * TILE_ROWS, TILE_ROWS, lane, width, scratch)
        statements.append(k.For(block, k.const(blocks), inner))
    if rest:
        statements.extend(_tile(c, out, k.const(blocks * TILE_ROWS), rest, lane, width, scratch))
    return tuple(statements)


def _tile(
    c: Contraction, out: k.Buffer, row: k.Expr, rows: int, lane: k.Expr, width: int, scratch: list[k.Buffer]
) -> tuple[k.Stmt, ...]:
    """``rows`` x ``width`` sums in registers."""
    name = f"tile{len(scratch)}"
    tile = k.Buffer(name, c.dtype, "local", rows * width)
    scratch.append(tile)
    r, v = k.Var("r"), k.Var("v")
    place = r * width + v
    at: dict[k.Var, k.Expr] = {a.var: a.var for a in (*c.outer, *c.reduced)}
    at |= {c.rows.var: row + r, c.lanes.var: lane + v}
    product = k.call("mul", c.a(at), c.b(at))
    total = k.call("add", k.Load(tile, place), product)

    def over(statement: k.Stmt) -> tuple[k.Stmt, ...]:
        return (k.For(r, k.const(rows), (k.For(v, k.const(width), (statement,), "vector"),), "unroll"),)

    return (
        *over(k.Store(tile, place, k.const(0, c.dtype))),
        *_nest(c.reduced, over(k.Store(tile, place, total)), "serial"),
        *over(k.Store(out, c.store(at), k.Load(tile, place))),
    )


def _scalar_kernel(name: str, c: Contraction, out: k.Buffer) -> k.Kernel:
    """One sum at a time: for sizes that are symbols, rows too short for vectors, and GPUs."""
    at: dict[k.Var, k.Expr] = {a.var: a.var for a in (*c.outer, c.rows, c.lanes, *c.reduced)}
    total = k.Var("total", c.dtype)
    product = k.call("mul", c.a(at), c.b(at))
    body: tuple[k.Stmt, ...] = (
        k.Local(total, k.const(0, c.dtype)),
        *_nest(c.reduced, (k.Assign(total, k.call("add", total, product, reassociate=True)),), "serial"),
        k.Store(out, c.store(at), total),
    )
    return kernel_of(name, _nest((*c.outer, c.rows, c.lanes), body), ())
