"""The kernel of a matrix product: tiles of registers over blocks that fit the caches.

    out[*batch, row, lane] = sum over k of a[row, k] * b[k, lane]

``a`` and ``b`` are `Side` s: an operand read in place, or packed into panels.  A panel holds a tile's
width of rows (or lanes) for every ``k``, so the innermost loop reads memory in order.  One parallel
loop runs over blocks of whole panels; inside, ``k`` goes in chunks whose panels fit the caches, with the
sums between chunks kept in scratch memory.  The order of additions depends on sizes only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from jitorch import dims
from jitorch.dims import Dim
from jitorch.dtypes import DType
from jitorch.ir import kernel as k
from jitorch.ir.sizes import size_expr
from jitorch.lower.contractions.tiles import Blocking
from jitorch.lower.nests import kernel_of

LINE_BYTES = 64
"""Of a cache line."""

Batch = tuple[k.Expr, ...]
Load = Callable[[Batch, k.Expr, k.Expr, k.Expr], k.Expr]
"""From batch coordinates, first element of the panel, ``k`` and the place in the panel to the element."""
Element = Callable[[Batch, k.Expr, k.Expr], tuple[tuple[k.Stmt, ...], k.Expr]]
"""From batch coordinates, place along the panelled axis and ``k`` to statements and the element they compute."""


@dataclass(frozen=True)
class Side:
    """One operand, cut along the axis that the other lacks into panels of ``tile``.

    ``padded``: a last panel that reaches over ``size`` may be read whole.  If not, it begins earlier where
    sizes are constants (``size`` is at least ``tile`` then), else reads its last element again and again.
    """

    size: Dim
    tile: int
    load: Load
    padded: bool = False

    @property
    def panels(self) -> Dim:
        return ceil_div(self.size, self.tile)

    @property
    def has_rest(self) -> bool:
        return not isinstance(self.size, int) or self.size % self.tile != 0

    @property
    def shift(self) -> int:
        """By how many elements the last panel begins earlier."""
        if self.padded or not isinstance(self.size, int):
            return 0
        return -self.size % self.tile

    def start(self, first: k.Expr) -> k.Expr:
        """Where the panel that should begin at ``first`` begins."""
        if not self.shift:
            return first
        return k.call("minimum", first, size_expr(self.size) - self.tile)

    def element(self, batch: Batch, start: k.Expr, kk: k.Expr, place: k.Expr) -> k.Expr:
        if self.padded or isinstance(self.size, int):
            return self.load(batch, start, kk, place)
        return self.load(batch, k.call("minimum", start + place, size_expr(self.size) - 1), kk, k.const(0))


@dataclass(frozen=True)
class Product:
    """What the kernel computes.  ``store(batch, row, lane, element)`` gives the statements that use an element.

    ``across``: elements that are neighbours along ``rows``, not along ``lanes``, are neighbours in the output.
    ``stage``: the elements of ``lanes``, of which each task copies its block into scratch memory, chunk by chunk.
    ``blocks``: a task has the same lanes of so many blocks of them, and ``after(row, rows, lane, count)`` gives the
    statements that use ``count`` lanes of each block, of ``rows`` rows, when they are stored.  ``ahead(batch, row,
    lane)`` gives those that ask for the memory that ``store`` uses there.  ``others``: where ``rows`` lies in several
    parts along ``k``, all but the first, each with its number of terms; the sum is not cut into chunks then.
    ``by_lanes``: tasks that follow each other have the same lanes, not the same rows.
    """

    batch: tuple[Dim, ...]
    rows: Side
    lanes: Side
    inner: Dim
    sums: DType
    store: Callable[[Batch, k.Expr, k.Expr, k.Expr], tuple[k.Stmt, ...]]
    width: int
    across: bool = False
    is_cheap: bool = True
    stage: Element | None = None
    blocks: int = 1
    after: Callable[[k.Expr, k.Expr, k.Expr, k.Expr], tuple[k.Stmt, ...]] | None = None
    ahead: Callable[[Batch, k.Expr, k.Expr], tuple[k.Stmt, ...]] | None = None
    others: tuple[tuple[Side, int], ...] = ()
    by_lanes: bool = False

    def over(self, body: Callable[[k.Expr, k.Expr], tuple[k.Stmt, ...]]) -> tuple[k.Stmt, ...]:
        """``body`` for each row and lane of a tile, in registers."""
        return over_tile(self.rows.tile, self.lanes.tile, self.width, body)


def over_tile(
    rows: int, lanes: int, width: int, body: Callable[[k.Expr, k.Expr], tuple[k.Stmt, ...]]
) -> tuple[k.Stmt, ...]:
    """``body`` for each row and lane of a tile, in vectors of ``width`` lanes with constant places."""
    r, u, v = k.Var("r"), k.Var("u"), k.Var("v")
    lane = u * width + v if lanes > width else v
    inner: tuple[k.Stmt, ...] = (k.For(v, k.const(width), body(r, lane), "vector"),)
    if lanes > width:
        inner = (k.For(u, k.const(lanes // width), inner, "unroll"),)
    return (k.For(r, k.const(rows), inner, "unroll"),)


def ceil_div(size: Dim, by: int) -> Dim:
    return -(-size // by) if isinstance(size, int) else (size + (by - 1)) // by


def product_kernel(name: str, p: Product, blocking: Blocking) -> k.Kernel:
    """The kernel, with one parallel loop."""
    writer = _Writer(p, blocking)
    return kernel_of(name, writer.tasks(), tuple(writer.scratch))


class _Writer:
    def __init__(self, p: Product, blocking: Blocking):
        self.p, self.blocking = p, blocking
        self.scratch: list[k.Buffer] = []
        # A product of no terms is stored, too.
        chunks = ceil_div(p.inner, blocking.chunk)
        self.chunks = chunks if isinstance(chunks, int) else dims.dim_max(chunks, 1)
        self.row_blocks = ceil_div(p.rows.panels, blocking.rows)
        self.lane_blocks = ceil_div(p.lanes.panels, blocking.lanes)
        self.partial: k.Buffer | None = None
        if self.chunks != 1 and self.chunks != 0:
            size = blocking.rows * blocking.lanes * p.rows.tile * p.lanes.tile
            self.partial = self._scratch("partial", size)
        self.staged: k.Buffer | None = None
        if p.stage is not None:
            self.staged = self._scratch("staged", blocking.chunk * blocking.lanes * p.lanes.tile)

    def _scratch(self, name: str, size: int) -> k.Buffer:
        buffer = k.Buffer(name, self.p.sums, "local", size)
        self.scratch.append(buffer)
        return buffer

    def tasks(self) -> tuple[k.Stmt, ...]:
        p, task = self.p, k.Var("task")
        blocks = {"row_block": self.row_blocks, "lane_block": self.lane_blocks}
        names = ("lane_block", "row_block") if p.by_lanes else ("row_block", "lane_block")
        sizes = (*p.batch, *(blocks[name] for name in names))
        body: list[k.Stmt] = []
        coordinates = split_task(task, sizes, body, names)
        at = dict(zip(names, coordinates[-2:], strict=True))
        batch, row_block, lane_block = tuple(coordinates[:-2]), at["row_block"], at["lane_block"]
        i, j, c = k.Var("i"), k.Var("j"), k.Var("c")
        row_panel = row_block * self.blocking.rows + i
        lane_panel = lane_block * self.blocking.lanes + j
        inner = self.micro(batch, row_panel, lane_panel, i, j, c)
        rows = _fewer(self.blocking.rows, p.rows.panels, row_block)
        lanes = _fewer(self.blocking.lanes, p.lanes.panels, lane_block)
        nest: tuple[k.Stmt, ...] = (k.For(j, lanes, (k.For(i, rows, inner),)),)
        if self.staged is not None:
            nest = (self.fill(batch, lane_panel, j, lanes, c), *nest)
        if self.partial is not None:
            nest = (k.For(c, size_expr(self.chunks), nest),)
        if p.after is not None:
            nest += p.after(
                *_run(self.blocking.rows * p.rows.tile, p.rows.size, row_block),
                *_run(self.blocking.lanes // p.blocks * p.lanes.tile, p.lanes.size // p.blocks, lane_block),
            )
        return (k.For(task, size_expr(dims.prod(sizes)), (*body, *nest), "parallel"),)

    def fill(self, batch: Batch, lane_panel: k.Expr, j: k.Var, lanes: k.Expr, c: k.Var) -> k.Stmt:
        """Copy a chunk of a block of lanes, in the order of memory."""
        p, kk, v, start = self.p, k.Var("k"), k.Var("v"), k.Var("start")
        at, length = self.chunk_of(c, kk)
        statements, value = p.stage(batch, start + v, at)  # type: ignore[misc]
        to = (j * self.blocking.chunk + kk) * p.lanes.tile + v
        copy = (*statements, k.Store(self.staged, to, k.cast(value, p.sums)))  # type: ignore[arg-type]
        pieces = k.For(v, k.const(p.lanes.tile), copy, "vector")
        panel = (k.Let(start, p.lanes.start(lane_panel * p.lanes.tile)), pieces)
        return k.For(kk, length, (k.For(j, lanes, panel),))

    def chunk_of(self, c: k.Var, kk: k.Var) -> tuple[k.Expr, k.Expr]:
        """Term ``kk`` of chunk ``c``, and how many terms that has."""
        size = size_expr(self.p.inner)
        if self.partial is None:
            return kk, size
        first = c * self.blocking.chunk
        return first + kk, k.call("minimum", self.blocking.chunk, size - first)

    # -- one tile --------------------------------------------------------------------------------
    def micro(
        self, batch: Batch, row_panel: k.Expr, lane_panel: k.Expr, i: k.Var, j: k.Var, c: k.Var
    ) -> tuple[k.Stmt, ...]:
        p = self.p
        row, lane = k.Var("row"), k.Var("lane")
        start = lane_panel * p.lanes.tile
        if p.blocks > 1:
            width = size_expr(p.lanes.size) // p.blocks
            start = lane_panel % p.blocks * width + lane_panel // p.blocks * p.lanes.tile
        body: list[k.Stmt] = [k.Let(row, row_panel * p.rows.tile), k.Let(lane, start)]
        rows, lanes = p.rows.tile, p.lanes.tile
        tile = self._scratch("tile", rows * lanes)
        kk = k.Var("k")
        zero = p.over(lambda r, v: (k.Store(tile, r * lanes + v, k.const(0, p.sums)),))
        at, length = self.chunk_of(c, kk)
        saved = (j * self.blocking.rows + i) * (rows * lanes)
        if self.partial is None:
            body += zero
        else:
            partial = self.partial
            loaded = p.over(lambda r, v: _copy(tile, r * lanes + v, partial, saved + r * lanes + v))
            body.append(k.If(c.eq(0), zero, loaded))

        def of_lane(term: k.Expr, v: k.Expr) -> k.Expr:
            if self.staged is not None:
                return k.Load(self.staged, (j * self.blocking.chunk + kk) * lanes + v)
            return k.cast(p.lanes.element(batch, p.lanes.start(lane), term, v), p.sums)

        def added(side: Side, place: k.Expr, term: k.Expr) -> tuple[k.Stmt, ...]:
            """One term of the sum, which ``side`` has at ``place``."""

            def add(r: k.Expr, v: k.Expr) -> tuple[k.Stmt, ...]:
                a = k.cast(side.element(batch, side.start(row), place, r), p.sums)
                to = r * lanes + v
                return (k.Store(tile, to, k.call("add", k.Load(tile, to), k.call("mul", a, of_lane(term, v)))),)

            return p.over(add)

        first = length - sum(count for _, count in p.others)
        if p.ahead is None:
            body.append(k.For(kk, first, added(p.rows, at, at)))
        else:
            body += self.asking_ahead(batch, row, lane, kk, first, added(p.rows, at, at))
        for side, count in p.others:
            body.append(k.For(kk, k.const(count), added(side, kk, first + kk)))
            first = first + count
        done = self.finish(batch, tile, row, lane)
        if self.partial is None:
            return (*body, *done)
        keep = p.over(lambda r, v: _copy(self.partial, saved + r * lanes + v, tile, r * lanes + v))  # type: ignore[arg-type]
        return (*body, k.If(c < size_expr(self.chunks) - 1, keep, done))

    def asking_ahead(
        self, batch: Batch, row: k.Var, lane: k.Var, kk: k.Var, length: k.Expr, term: tuple[k.Stmt, ...]
    ) -> tuple[k.Stmt, ...]:
        """The loop over ``kk``, in parts: before each, a line of what the results of the tile are made of is asked for.

        All lines at once would keep the operands of the sums from coming.
        """
        p, line, run, part, at = self.p, k.Var("line"), k.Var("run"), k.Var("part"), k.Var("at")
        outer, first, inner, start = (p.lanes, lane, p.rows, row) if p.across else (p.rows, row, p.lanes, lane)
        step = max(1, LINE_BYTES // p.sums.itemsize)
        x, y = _inside(outer, first + line), _inside(inner, start + run * step)
        row_at, lane_at = (y, x) if p.across else (x, y)
        asked = k.For(run, k.const(ceil_div(inner.tile, step)), p.ahead(batch, row_at, lane_at))  # type: ignore[misc]
        some = k.For(at, k.call("minimum", part, length - line * part), k.substitute(term, {kk: line * part + at}))
        return (
            k.Let(part, (length + (outer.tile - 1)) // outer.tile),
            k.For(line, k.const(outer.tile), (asked, some)),
        )

    def finish(self, batch: Batch, tile: k.Buffer, row: k.Var, lane: k.Var) -> tuple[k.Stmt, ...]:
        """Use the sums of a tile: straight from registers if that is little code and the tile is whole."""
        p, lanes = self.p, self.p.lanes.tile
        direct: tuple[k.Stmt, ...] | None = None
        if p.is_cheap and not p.across:
            direct = p.over(lambda r, v: p.store(batch, row + r, lane + v, k.Load(tile, r * lanes + v)))
        tests = [
            first + side.tile <= size_expr(side.size)
            for side, first in ((p.rows, row), (p.lanes, lane))
            if side.has_rest
        ]
        if direct is not None and not tests:
            return direct
        through = self.through_memory(batch, tile, row, lane)
        if direct is None:
            return through
        return (k.If(tests[0] if len(tests) == 1 else tests[0] & tests[1], direct, through),)

    def through_memory(self, batch: Batch, tile: k.Buffer, row: k.Var, lane: k.Var) -> tuple[k.Stmt, ...]:
        """Spill the tile and go over what of it is inside, row by row, as one short loop."""
        p, lanes = self.p, self.p.lanes.tile
        edge = self._scratch("edge", p.rows.tile * lanes)
        spilled = p.over(lambda r, v: _copy(edge, r * lanes + v, tile, r * lanes + v))

        def element(at_row: k.Expr, at_lane: k.Expr, in_row: k.Expr, in_lane: k.Expr) -> tuple[k.Stmt, ...]:
            return p.store(batch, row + at_row, lane + at_lane, k.Load(edge, in_row * lanes + in_lane))

        line = k.Var("line")
        outer, first, inner, start = (p.lanes, lane, p.rows, row) if p.across else (p.rows, row, p.lanes, lane)
        moved = line + (first - outer.start(first)) if outer.shift else line
        if p.across:
            body = pieces_of(inner, start, lambda at, there: element(at, line, there, moved))
        else:
            body = pieces_of(inner, start, lambda at, there: element(line, at, moved, there))
        return (*spilled, k.For(line, _left(outer, first), body))


def _copy(target: k.Buffer, to: k.Expr, source: k.Buffer, place: k.Expr) -> tuple[k.Stmt, ...]:
    return (k.Store(target, to, k.Load(source, place)),)


def _inside(side: Side, place: k.Expr) -> k.Expr:
    return k.call("minimum", place, size_expr(side.size) - 1) if side.has_rest else place


def _left(side: Side, first: k.Expr) -> k.Expr:
    """How many elements a panel has."""
    if not side.has_rest:
        return k.const(side.tile)
    return k.call("minimum", side.tile, size_expr(side.size) - first)


def pieces_of(side: Side, first: k.Expr, body: Callable[[k.Expr, k.Expr], tuple[k.Stmt, ...]]) -> tuple[k.Stmt, ...]:
    """``body`` for each element of a panel, of its place from ``first`` and its place in the tile.

    In vectors where the panel is whole or its rest is a constant.
    """
    whole = _pieces(side.tile, 0, body)
    if not side.has_rest:
        return whole
    if isinstance(side.size, int):
        rest = _pieces(side.size % side.tile, side.shift, body)
        if side.size < side.tile:
            return rest
    else:
        lane = k.Var("l")
        rest = (k.For(lane, size_expr(side.size) - first, body(lane, lane)),)
    return (k.If(first + side.tile <= size_expr(side.size), whole, rest),)


def _pieces(count: int, shift: int, body: Callable[[k.Expr, k.Expr], tuple[k.Stmt, ...]]) -> tuple[k.Stmt, ...]:
    """``count`` lanes as vectors."""
    statements: list[k.Stmt] = []
    for at, width in powers(count):
        v = k.Var("v")
        statements.append(k.For(v, k.const(width), body(v + at, v + (at + shift)), "vector"))
    return tuple(statements)


def powers(count: int) -> Iterator[tuple[int, int]]:
    """``count`` elements as runs (first, length) whose lengths are powers of two, at most 32."""
    at = 0
    while at < count:
        width = min(32, 1 << ((count - at).bit_length() - 1))
        yield at, width
        at += width


def _fewer(block: int, panels: Dim, at: k.Expr) -> k.Expr:
    """The panels of block ``at``: the last may have fewer."""
    if isinstance(panels, int) and panels % block == 0:
        return k.const(block)
    return k.call("minimum", block, size_expr(panels) - at * block)


def _run(length: int, size: Dim, at: k.Expr) -> tuple[k.Expr, k.Expr]:
    """The first element of block ``at`` of an axis, and how many it has: the last may have fewer than ``length``."""
    first = at * length
    if isinstance(size, int) and (size % length == 0 or size < length):
        return first, k.const(min(size, length))
    return first, k.call("minimum", length, size_expr(size) - first)


def split_task(
    task: k.Var, sizes: Sequence[Dim], body: list[k.Stmt], blocks: Sequence[str] = ("row_block", "lane_block")
) -> list[k.Expr]:
    """Coordinates of a flat index, named in ``body``: batch axes and ``blocks``; 0 along axes of size 1."""
    names = (*(f"b{i}" for i in range(len(sizes) - len(blocks))), *blocks)
    result: list[k.Expr] = [k.const(0)] * len(sizes)
    rest: k.Expr = task
    wide = [a for a, d in enumerate(sizes) if d != 1]
    for axis in reversed(wide):
        extent = size_expr(sizes[axis])
        var = k.Var(names[axis])
        body.append(k.Let(var, rest if axis == wide[0] else rest % extent))
        result[axis] = var
        rest = rest // extent
    return result
