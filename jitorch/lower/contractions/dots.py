"""The kernel of a thin matrix product whose operands both lie along ``k``: dot products, several at once.

    out[*batch, row, lane] = sum over k of a[row, k] * b[lane, k]

Vectors run along ``k``; a tile of rows and lanes shares what it loads.  The lanes of each sum are added up at
its end, always in the same way.
"""

from __future__ import annotations

from collections.abc import Callable

from jitorch import dims
from jitorch.dims import Dim
from jitorch.ir import kernel as k
from jitorch.ir.sizes import size_expr
from jitorch.lower.contractions.panels import Batch, Product, Side, ceil_div, pieces_of, powers, split_task
from jitorch.lower.nests import kernel_of

LINE = 32
"""Elements along the output's last axis that a task computes before it stores them."""


def dots_kernel(name: str, p: Product) -> k.Kernel:
    """One parallel loop over batches, row panels and blocks of `LINE` lanes.  ``p.width`` lanes run along ``k``."""
    block = Side(p.lanes.size, p.lanes.tile * max(1, LINE // p.lanes.tile), p.lanes.load, padded=True)
    # The last panel may be the first of its block, and begin earlier than that.
    sums = k.Buffer("sums", p.sums, "local", p.lanes.shift + p.rows.tile * block.tile)
    tile = k.Buffer("tile", p.sums, "local", p.rows.tile * p.lanes.tile * p.width)
    task, j, line = k.Var("task"), k.Var("j"), k.Var("line")
    row, start, lane = k.Var("row"), k.Var("start"), k.Var("lane")
    body: list[k.Stmt] = []
    sizes = (*p.batch, p.rows.panels, block.panels)
    *batch, row_panel, lane_block = split_task(task, sizes, body)
    body += [k.Let(row, row_panel * p.rows.tile), k.Let(start, lane_block * block.tile)]
    at = tuple(batch)
    left = k.const(block.tile // p.lanes.tile)
    if block.has_rest:
        inside = size_expr(p.lanes.size) - start + (p.lanes.tile - 1)
        left = k.call("minimum", left, inside // p.lanes.tile)
    inner = (k.Let(lane, start + j * p.lanes.tile), *_tile(p, at, tile, sums, row, lane, j * p.lanes.tile, block.tile))
    body.append(k.For(j, left, inner))
    moved = line + (row - p.rows.start(row)) if p.rows.shift else line

    def element(place: k.Expr, there: k.Expr) -> tuple[k.Stmt, ...]:
        return p.store(at, row + line, start + place, k.Load(sums, moved * block.tile + there + p.lanes.shift))

    rows_left: k.Expr = k.const(p.rows.tile)
    if p.rows.has_rest:
        rows_left = k.call("minimum", p.rows.tile, size_expr(p.rows.size) - row)
    body.append(k.For(line, rows_left, pieces_of(block, start, element)))
    return kernel_of(name, (k.For(task, size_expr(dims.prod(sizes)), tuple(body), "parallel"),), (tile, sums))


def _tile(
    p: Product, batch: Batch, tile: k.Buffer, sums: k.Buffer, row: k.Expr, lane: k.Expr, column: k.Expr, pitch: int
) -> tuple[k.Stmt, ...]:
    """``rows`` x ``lanes`` dot products, into ``sums`` from ``column`` on.

    A last panel that begins earlier writes where its elements belong, so some sums are computed twice.
    """
    r, c, v, kk = k.Var("r"), k.Var("c"), k.Var("v"), k.Var("k")
    lanes, width = p.lanes.tile, p.width
    first = p.lanes.start(lane)

    def over(count: int, body: tuple[k.Stmt, ...]) -> tuple[k.Stmt, ...]:
        vector = k.For(v, k.const(count), body, "vector")
        return (k.For(r, k.const(p.rows.tile), (k.For(c, k.const(lanes), (vector,), "unroll"),), "unroll"),)

    def add(count: int, begin: k.Expr) -> tuple[k.Stmt, ...]:
        a = k.cast(p.rows.element(batch, p.rows.start(row), begin + v, r), p.sums)
        b = k.cast(p.lanes.element(batch, first, begin + v, c), p.sums)
        return over(count, (k.Store(tile, place, k.Load(tile, place) + a * b),))

    place = (r * lanes + c) * width + v
    statements = [*over(width, (k.Store(tile, place, k.const(0, p.sums)),))]
    statements.append(k.For(kk, size_expr(p.inner) // width, add(width, kk * width)))
    statements += _rest(p.inner, width, add)
    total = k.Var("total", p.sums)
    across = k.Assign(total, k.call("add", total, k.Load(tile, place), reassociate=True))
    result = (
        k.Local(total, k.const(0, p.sums)),
        k.For(v, k.const(width), (across,), "vector"),
        k.Store(sums, r * pitch + column + (first - lane) + c + p.lanes.shift, total),
    )
    summed = k.For(r, k.const(p.rows.tile), (k.For(c, k.const(lanes), result, "unroll"),), "unroll")
    return (*statements, summed)


def _rest(inner: Dim, width: int, add: Callable[[int, k.Expr], tuple[k.Stmt, ...]]) -> list[k.Stmt]:
    """The terms behind the last whole vector."""
    begin = size_expr(inner) // width * width
    if not isinstance(inner, int):
        rest = k.Var("rest")
        return [k.For(rest, size_expr(inner) - begin, add(1, begin + rest))]
    statements: list[k.Stmt] = []
    for at, count in powers(inner % width):
        statements += add(count, begin + at)
    return statements


def thin_tile(registers: int, rows: Dim, lanes: Dim) -> tuple[int, int]:
    """Rows and lanes of a tile of dot products: least work, all sums in registers."""
    best: tuple[float, int, int] | None = None
    for r in (4, 3, 2, 1):
        for c in (8, 6, 5, 4, 3, 2, 1):
            if r * c + min(r, c) + 1 > registers or (isinstance(rows, int) and r > rows):
                continue
            if isinstance(lanes, int) and c > lanes:
                continue
            tiles = _count(rows, r) * _count(lanes, c)
            cost = tiles * max(r * c, r + c, 4.0)
            if best is None or (cost, -r * c) < (best[0], -best[1] * best[2]):
                best = (cost, r, c)
    return (1, 1) if best is None else best[1:]


def _count(size: Dim, tile: int) -> float:
    found = ceil_div(size, tile)
    return found if isinstance(found, int) else 1000 / tile
