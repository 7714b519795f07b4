"""Products of blocks: small matrix products inside a kernel, in tiles of registers.

What `jitorch.lower.contractions.panels` is for a kernel that is one product, this is for kernels that have several,
such as attention: the operands and the result are whatever the caller says, most often blocks in scratch memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jitorch.dtypes import DType
from jitorch.ir import kernel as k
from jitorch.lower.contractions.panels import over_tile, powers
from jitorch.lower.contractions.tiles import Tile

Element = Callable[[k.Expr, k.Expr], k.Expr]
"""From two places to the element there."""


@dataclass(frozen=True)
class BlockProduct:
    """``store(row, lane, start(row, lane) + sum over terms of a(row, term) * b(term, lane))``.

    There are ``row_tiles`` times ``tile.rows`` rows, and ``lane_tiles`` times ``tile.lanes`` lanes with ``rest`` more.
    Without ``start`` sums begin at 0.
    """

    name: str
    dtype: DType
    tile: Tile
    row_tiles: k.Expr
    lane_tiles: k.Expr
    rest: int
    terms: k.Expr
    a: Element
    b: Element
    store: Callable[[k.Expr, k.Expr, k.Expr], tuple[k.Stmt, ...]]
    start: Element | None = None

    def statements(self, scratch: list[k.Buffer]) -> tuple[k.Stmt, ...]:
        """The loops; what they need of registers is added to ``scratch``."""
        j, tile = k.Var("j"), self.tile
        runs: list[k.Stmt] = []
        if self.lane_tiles != k.const(0):
            runs.append(k.For(j, self.lane_tiles, self._rows(j * tile.lanes, tile.lanes, scratch)))
        for at, lanes in powers(self.rest):
            runs += self._rows(self.lane_tiles * tile.lanes + at, lanes, scratch)
        return tuple(runs)

    def _rows(self, lane: k.Expr, lanes: int, scratch: list[k.Buffer]) -> tuple[k.Stmt, ...]:
        i, term, rows = k.Var("i"), k.Var("k"), self.tile.rows
        sums = k.Buffer(f"{self.name}_tile{len(scratch)}", self.dtype, "local", rows * lanes)
        scratch.append(sums)

        def over(body: Callable[[k.Expr, k.Expr, k.Expr], tuple[k.Stmt, ...]]) -> tuple[k.Stmt, ...]:
            return over_tile(
                rows, lanes, min(self.tile.width, lanes), lambda r, v: body(i * rows + r, lane + v, r * lanes + v)
            )

        def begin(row: k.Expr, at: k.Expr, place: k.Expr) -> tuple[k.Stmt, ...]:
            first = k.const(0, self.dtype) if self.start is None else self.start(row, at)
            return (k.Store(sums, place, first),)

        def add(row: k.Expr, at: k.Expr, place: k.Expr) -> tuple[k.Stmt, ...]:
            return (k.Store(sums, place, k.Load(sums, place) + self.a(row, term) * self.b(term, at)),)

        def end(row: k.Expr, at: k.Expr, place: k.Expr) -> tuple[k.Stmt, ...]:
            return self.store(row, at, k.Load(sums, place))

        return (k.For(i, self.row_tiles, (*over(begin), k.For(term, self.terms, over(add)), *over(end))),)


def vectors(size: int, width: int, body: Callable[[k.Expr], tuple[k.Stmt, ...]]) -> Iterator[k.Stmt]:
    """``body`` for each of ``size`` neighbours, in vectors of ``width`` and shorter ones at the end."""
    whole, rest = divmod(size, width)
    c, v = k.Var("c"), k.Var("v")
    if whole == 1:
        yield k.For(v, k.const(width), body(v), "vector")
    elif whole:
        yield k.For(c, k.const(whole), (k.For(v, k.const(width), body(c * width + v), "vector"),))
    for at, lanes in powers(rest):
        yield k.For(v, k.const(lanes), body(v + (whole * width + at)), "vector")


def lane_split(size: int, tile: Tile) -> tuple[k.Expr, int]:
    """How many whole tiles of lanes ``size`` has, and how many lanes more."""
    return k.const(size // tile.lanes), size % tile.lanes


def count_tiles(count: k.Expr, by: int) -> k.Expr:
    """How many tiles of ``by`` hold ``count`` elements."""
    return (count + (by - 1)) // by
