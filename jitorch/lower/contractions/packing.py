"""Packing: an operand copied into panels, ``[*batch, panels, K, tile]``, by a kernel of its own."""

from __future__ import annotations

from jitorch import dims
from jitorch.dims import Dim
from jitorch.dtypes import DType
from jitorch.ir import kernel as k
from jitorch.ir.sizes import size_expr
from jitorch.lower.contractions.panels import Batch, Element, Side, ceil_div
from jitorch.lower.nests import kernel_of

LINE = 16
"""Neighbours along ``k`` that are copied in one go: a cache line of f32."""


def packed(
    name: str,
    batch: tuple[Dim, ...],
    size: Dim,
    inner: Dim,
    tile: int,
    dtype: DType,
    element: Element,
    along_k: bool = False,
) -> tuple[k.Kernel, k.Buffer, Dim, Side]:
    """The kernel that packs, its buffer with the buffer's size, and the side that reads it.

    Where neighbours in memory are neighbours along ``k``, vectors are gathered: a whole tile of lines stays in
    the first-level cache meanwhile.  With ``along_k`` it would not, as the lines drive each other out; then `LINE`
    elements are taken from one line after the other, which takes half as long as gathering them.
    """
    buffer = k.Buffer(name, dtype)
    panels = ceil_div(size, tile)
    total = dims.prod((*batch, panels, inner, tile))
    kernel = _kernel(f"{name}_pack", batch, size, inner, tile, buffer, element, along_k)

    def load(at: Batch, first: k.Expr, kk: k.Expr, lane: k.Expr) -> k.Expr:
        base = first * size_expr(inner)
        if at:
            base = _flat(batch, at) * (size_expr(panels) * size_expr(inner) * tile) + base
        return k.Load(buffer, base + kk * tile + lane)

    return kernel, buffer, total, Side(size, tile, load, padded=True)


def _flat(batch: tuple[Dim, ...], at: Batch) -> k.Expr:
    flat: k.Expr = k.const(0)
    for d, c in zip(batch, at, strict=True):
        flat = flat * size_expr(d) + c
    return flat


def _kernel(
    name: str, batch: tuple[Dim, ...], size: Dim, inner: Dim, tile: int, buffer: k.Buffer, element: Element,
    along_k: bool,
) -> k.Kernel:  # fmt: skip
    """One parallel loop over all panels of all batches."""
    panels = ceil_div(size, tile)
    panel = k.Var("panel")
    body: list[k.Stmt] = []
    at: list[k.Expr] = []
    rest: k.Expr = panel
    p: k.Expr = panel
    if batch:
        p = rest % size_expr(panels)
        rest = rest // size_expr(panels)
        for axis in reversed(range(len(batch))):
            at.insert(0, rest if axis == 0 else rest % size_expr(batch[axis]))
            rest = rest // size_expr(batch[axis])
    first = k.Var("first")
    body.append(k.Let(first, p * tile))
    names = [k.Var(f"b{i}") for i in range(len(batch))]
    body += [k.Let(n, e) for n, e in zip(names, at, strict=True)]
    coordinates: Batch = tuple(names)
    kk, lane = k.Var("k"), k.Var("l")
    base = k.Var("base")
    body.append(k.Let(base, panel * (size_expr(inner) * tile)))

    def one(place: k.Expr, column: k.Expr, at_k: k.Expr) -> tuple[k.Stmt, ...]:
        statements, value = element(coordinates, place, at_k)
        return (*statements, k.Store(buffer, base + at_k * tile + column, k.cast(value, buffer.dtype)))

    def in_order(start: int, count: k.Expr) -> tuple[k.Stmt, ...]:
        row = k.For(lane, k.const(tile), one(first + lane, lane, start + kk if start else kk), "vector")
        return (k.For(kk, count, (row,)),)

    whole = in_order(0, size_expr(inner))
    if along_k and isinstance(inner, int) and inner >= LINE:
        run, step = k.Var("run"), k.Var("step")
        line = k.For(step, k.const(LINE), one(first + lane, lane, run * LINE + step), "unroll")
        whole = (k.For(run, k.const(inner // LINE), (k.For(lane, k.const(tile), (line,)),)),)
        if inner % LINE:
            whole += in_order(inner // LINE * LINE, k.const(inner % LINE))
    if isinstance(size, int) and size % tile == 0:
        body += whole
    else:
        # Lanes outside repeat the last one inside; nobody stores their sums.
        last = size_expr(size) - 1
        inside = k.call("minimum", first + lane, last)
        clamped = (k.For(kk, size_expr(inner), (k.For(lane, k.const(tile), one(inside, lane, kk)),)),)
        body.append(k.If(first + tile <= size_expr(size), whole, clamped))
    count = size_expr(dims.prod((*batch, panels)))
    return kernel_of(name, (k.For(panel, count, tuple(body), "parallel"),), ())
