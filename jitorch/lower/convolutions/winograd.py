"""Convolutions with 3 x 3 taps by fewer products: minimal filtering, F(2x2, 3x3).

A square of 2 x 2 outputs sees 4 x 4 inputs.  With both sides transformed, its sums over channels are 16 products a
channel, not 36:

    out = A^T [ sum over c of (G w G^T) * (B^T x B) ] A

(Winograd 1980; Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.)  The transforms add,
subtract and halve, so what is exact for small integers stays exact, and rounding errors are about twice those of
plain sums.  Inputs are bounded: infinities in a square spoil the whole square.

A task takes some rows of squares of the image and some output channels.  Of the squares it makes the 16 transforms
for a chunk of channels in scratch memory, multiplies each with a panel of transformed weights in tiles of registers,
and puts the sums, transformed back, where they belong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jitorch import dims
from jitorch.dims import Dim
from jitorch.dtypes import DType
from jitorch.ir import kernel as k
from jitorch.ir.sizes import size_expr
from jitorch.lower.contractions.panels import ceil_div, powers, split_task
from jitorch.lower.convolutions.padded import CACHE_LINE, PAGE_BYTES, Padded, PaddedAxis
from jitorch.lower.convolutions.winograd_cut import ROWS, Cut
from jitorch.lower.nests import kernel_of

TERMS = 16
"""Products of a square for each channel."""


@dataclass(frozen=True)
class Filtering:
    """``out[n, o, *s]`` of ``outputs`` channels a group; ``store(coordinates, element)`` gives the statements."""

    source: Padded
    batch: Dim
    groups: int
    outputs: int
    channels: int
    height: int
    width: int
    weight: Callable[[k.Expr, k.Expr, list[k.Expr]], k.Expr]
    store: Callable[[list[k.Expr], k.Expr], tuple[k.Stmt, ...]]
    dtype: DType
    cut: Cut

    @property
    def panels(self) -> int:
        """Of one group's weights."""
        return -(-self.outputs // ROWS)

    @property
    def weights(self) -> int:
        """Elements of the transformed weights: ``[groups, panels, channels, TERMS, ROWS]``."""
        return self.groups * self.panels * TERMS * self.channels * ROWS


def squares_axis(size: Dim, low: int, out: int) -> PaddedAxis:
    """An axis of the copy: coordinates of one parity stand next to each other, so squares' neighbours do."""
    return PaddedAxis(size, low, -(-out // 2) + 1, 1, 2, 2)


@dataclass(frozen=True)
class RowRun:
    """The vectors of a row of squares: ``count`` of them, ``width`` squares wide, of which the last begins at ``last``.

    That may reach over the end of the row by ``over`` squares, which the next row writes anew and nobody reads.
    """

    width: int
    count: int
    last: int
    over: int = 0

    @property
    def overlaps(self) -> bool:
        """Whether the last one begins earlier than the one before it ends."""
        return self.last != (self.count - 1) * self.width


def row_run(cut: Cut, across: int) -> RowRun:
    """How `filtering_kernel` goes through rows of ``across`` squares."""
    width = min(cut.width, _cover(across))
    if width > across:
        if (cut.rows - 1) * across + width <= cut.lanes:
            return RowRun(width, 1, 0, width - across)
        width //= 2  # of two vectors the second ends where the row does
    return RowRun(width, -(-across // width), across - width)


class _Steps:
    """Statements that name one value after the other."""

    def __init__(self, dtype: DType):
        self.dtype = dtype
        self.statements: list[k.Stmt] = []

    def let(self, e: k.Expr) -> k.Expr:
        var = k.Var(f"e{len(self.statements)}", self.dtype)
        self.statements.append(k.Let(var, e))
        return var

    def both_ways(
        self, square: list[list[k.Expr]], transform: Callable[[Sequence[k.Expr]], list[k.Expr]]
    ) -> list[list[k.Expr]]:
        """``transform`` along the columns, then along the rows of what that gives."""
        columns = [[self.let(e) for e in transform(column)] for column in zip(*square, strict=True)]
        return [[self.let(e) for e in transform(row)] for row in zip(*columns, strict=True)]


def _of_weights(w: Sequence[k.Expr]) -> list[k.Expr]:
    a, b, c = w
    return [a, (a + c + b) * 0.5, (a + c - b) * 0.5, c]


def _of_inputs(x: Sequence[k.Expr]) -> list[k.Expr]:
    a, b, c, d = x
    return [a - c, b + c, c - b, b - d]


def _of_sums(m: Sequence[k.Expr]) -> list[k.Expr]:
    a, b, c, d = m
    return [a + b + c, b - c - d]


def weights_kernel(name: str, f: Filtering, to: k.Buffer) -> k.Kernel:
    """``G w G^T`` in panels of `ROWS` output channels; a last panel repeats the last channel."""
    panel, c, r = k.Var("panel"), k.Var("c"), k.Var("r")
    first = panel % f.panels * ROWS if f.groups > 1 else panel * ROWS
    inside = first + r if f.outputs % ROWS == 0 else k.call("minimum", first + r, f.outputs - 1)
    output = panel // f.panels * f.outputs + inside if f.groups > 1 else inside
    steps = _Steps(f.dtype)

    def tap(i: int, j: int) -> k.Expr:
        return steps.let(k.cast(f.weight(output, c, [k.const(i), k.const(j)]), f.dtype))

    taps = [[tap(i, j) for j in range(3)] for i in range(3)]
    transformed = steps.both_ways(taps, _of_weights)
    stores = [
        k.Store(to, ((panel * f.channels + c) * TERMS + (4 * i + j)) * ROWS + r, transformed[i][j])
        for i in range(4)
        for j in range(4)
    ]
    rows = k.For(r, k.const(ROWS), (*steps.statements, *stores))
    body = k.For(panel, k.const(f.groups * f.panels), (k.For(c, k.const(f.channels), (rows,)),), "parallel")
    return kernel_of(name, (body,), ())


def filtering_kernel(name: str, f: Filtering, weights: k.Buffer) -> k.Kernel:
    """The sums, with one parallel loop."""
    return _Writer(f, weights).kernel(name)


class _Writer:
    def __init__(self, f: Filtering, weights: k.Buffer):
        self.f, self.cut, self.weights = f, f.cut, weights
        self.down, self.across = -(-f.height // 2), -(-f.width // 2)
        self.chunks = -(-f.channels // f.cut.chunk)
        self.scratch: list[k.Buffer] = []
        kept = f.cut.panels if self.chunks > 1 else 1
        # Terms that lie a page apart would share one set of a first-level cache.
        apart = f.cut.chunk * f.cut.lanes
        clash = apart * f.dtype.itemsize % PAGE_BYTES == 0
        self.apart = apart + CACHE_LINE // f.dtype.itemsize if clash else apart
        self.inputs = self._scratch("inputs", TERMS * self.apart)
        self.sums = self._scratch("sums", kept * TERMS * ROWS * f.cut.lanes)
        self.stage = self._scratch("stage", 4 * f.cut.lanes)
        self.run = row_run(f.cut, self.across)
        self.chunk, self.panel = k.Var("chunk"), k.Var("panel")

    def _scratch(self, name: str, size: int) -> k.Buffer:
        buffer = k.Buffer(name, self.f.dtype, "local", size)
        self.scratch.append(buffer)
        return buffer

    def kernel(self, name: str) -> k.Kernel:
        f, cut = self.f, self.cut
        rows = f.batch * self.down
        task = k.Var("task")
        body: list[k.Stmt] = []
        sizes = (f.groups, -(-f.panels // cut.panels), ceil_div(rows, cut.rows))
        group, panel_block, row_block = split_task(task, sizes, body)
        first, skip = k.Var("first"), k.Var("skip")
        begin = row_block * cut.rows
        # A last block that would reach over the end begins earlier, and stores only what is new.
        body.append(k.Let(first, k.call("minimum", begin, size_expr(rows) - cut.rows)))
        body.append(k.Let(skip, begin - first))
        left = k.call("minimum", cut.panels, f.panels - panel_block * cut.panels)
        first_channel = (panel_block * cut.panels + self.panel) * ROWS
        each = [*self._begin(), self._products(group * f.panels + panel_block * cut.panels + self.panel)]
        each += self._when_last(self._results(group, first_channel, first, skip))
        nest = (self._fill(group, first), k.For(self.panel, left, tuple(each)))
        body += [*self._clear(), k.For(self.chunk, k.const(self.chunks), nest)]
        loop = k.For(task, size_expr(dims.prod(sizes)), tuple(body), "parallel")
        return kernel_of(name, (loop,), tuple(self.scratch))

    def _when_last(self, statements: list[k.Stmt]) -> list[k.Stmt]:
        """What is done when all channels are summed."""
        return [k.If(self.chunk.eq(self.chunks - 1), tuple(statements))] if self.chunks > 1 else statements

    @property
    def _length(self) -> k.Expr:
        """Channels of this chunk."""
        size, chunk = self.f.channels, self.cut.chunk
        return k.const(chunk) if size % chunk == 0 else k.call("minimum", chunk, size - self.chunk * chunk)

    # -- inputs ------------------------------------------------------------------------------------
    def _fill(self, group: k.Expr, first: k.Expr) -> k.Stmt:
        """``B^T x B`` of a chunk: ``[TERMS, chunk, lanes]``, the squares of all rows one after the other."""
        f, row, c, lead = self.f, k.Var("row"), k.Var("c"), k.Var("lead")
        place = first + row
        channel = group * f.channels + self.chunk * self.cut.chunk
        at = f.source.channels(place // self.down, channel) + place % self.down * size_expr(f.source.pitches[0])
        piece, begin, source, target = k.Var("piece"), k.Var("begin"), k.Var("source"), k.Var("target")
        start = piece * self.run.width
        if self.run.overlaps:
            start = k.call("minimum", start, self.run.last)
        vector = (
            k.Let(begin, start),
            k.Let(source, lead + c * size_expr(f.source.channel) + begin),
            k.Let(target, c * self.cut.lanes + row * self.across + begin),
            self._transformed(source, target),
        )
        pieces = k.For(piece, k.const(self.run.count), vector)
        return k.For(row, k.const(self.cut.rows), (k.Let(lead, at), k.For(c, self._length, (pieces,))))

    def _clear(self) -> list[k.Stmt]:
        """Zeros where a task has no squares."""
        used, c, term, v = self.cut.rows * self.across, k.Var("c"), k.Var("term"), k.Var("v")
        if used == self.cut.lanes:
            return []
        place = term * self.apart + c * self.cut.lanes + used + v
        lanes = tuple(
            k.For(v, k.const(w), (k.Store(self.inputs, place + a, k.const(0, self.f.dtype)),), "vector")
            for a, w in powers(self.cut.lanes - used)
        )
        return [k.For(term, k.const(TERMS), (k.For(c, k.const(self.cut.chunk), lanes),))]

    def _transformed(self, source: k.Var, target: k.Var) -> k.Stmt:
        f, v, none = self.f, k.Var("v"), k.const(0)
        steps = _Steps(f.dtype)

        def load(i: int, j: int) -> k.Expr:
            offset = f.source.offset(none, [k.const(i % 2), k.const(j % 2)], [k.const(i // 2), k.const(j // 2)])
            return steps.let(k.Load(f.source.buffer, source + v + offset))

        square = steps.both_ways([[load(i, j) for j in range(4)] for i in range(4)], _of_inputs)
        stores = [
            k.Store(self.inputs, target + v + (4 * i + j) * self.apart, square[i][j])
            for i in range(4)
            for j in range(4)
        ]
        return k.For(v, k.const(self.run.width), (*steps.statements, *stores), "vector")

    # -- products ----------------------------------------------------------------------------------
    @property
    def _kept(self) -> k.Expr:
        """Where the panel's sums begin."""
        return self.panel * (TERMS * ROWS * self.cut.lanes) if self.chunks > 1 else k.const(0)

    def _products(self, panel: k.Expr) -> k.Stmt:
        """The sums of one panel for each of the 16 terms."""
        term = k.Var("term")
        tiles = [s for runs in self.cut.tiles for s in self._tile(panel, term, runs)]
        return k.For(term, k.const(TERMS), tuple(tiles))

    def _begin(self) -> list[k.Stmt]:
        """Zeros for the sums of a panel before its first chunk, where there are several."""
        if self.chunks == 1:
            return []
        element = k.Var("element")
        zero = k.Store(self.sums, self._kept + element, k.const(0, self.f.dtype))
        return [k.If(self.chunk.eq(0), (k.For(element, k.const(TERMS * ROWS * self.cut.lanes), (zero,)),))]

    def _tile(self, panel: k.Expr, term: k.Var, runs: Sequence[tuple[int, int]]) -> list[k.Stmt]:
        f, cut, c, r, v = self.f, self.cut, k.Var("c"), k.Var("r"), k.Var("v")
        begin, (end, last) = runs[0][0], runs[-1]
        length = end + last - begin
        tile = self._scratch(f"tile{begin}", ROWS * length)
        kept = self._kept + term * (ROWS * cut.lanes)

        def over(body: Callable[[k.Expr], tuple[k.Stmt, ...]]) -> k.Stmt:
            vectors = tuple(k.For(v, k.const(w), body(v + a), "vector") for a, w in runs)
            return k.For(r, k.const(ROWS), vectors, "unroll")

        def place(lane: k.Expr) -> k.Expr:
            return r * length + (lane - begin)

        def saved(lane: k.Expr) -> k.Expr:
            return kept + r * cut.lanes + lane

        def before(lane: k.Expr) -> k.Expr:
            return k.Load(self.sums, saved(lane)) if self.chunks > 1 else k.const(0, f.dtype)

        start = over(lambda lane: (k.Store(tile, place(lane), before(lane)),))
        channel = self.chunk * cut.chunk + c
        weight = k.Load(self.weights, ((panel * f.channels + channel) * TERMS + term) * ROWS + r)

        def add(lane: k.Expr) -> tuple[k.Stmt, ...]:
            product = k.call("mul", weight, k.Load(self.inputs, term * self.apart + c * cut.lanes + lane))
            return (k.Store(tile, place(lane), k.call("add", k.Load(tile, place(lane)), product)),)

        keep = over(lambda lane: (k.Store(self.sums, saved(lane), k.Load(tile, place(lane))),))
        return [start, k.For(c, self._length, (over(add),)), keep]

    # -- results -----------------------------------------------------------------------------------
    def _results(self, group: k.Expr, first_channel: k.Expr, first: k.Var, skip: k.Var) -> list[k.Stmt]:
        """``A^T m A`` of a panel, channel by channel: rows of pixels, which are stored."""
        f, cut, r, lane = self.f, self.cut, k.Var("r"), k.Var("lane")
        steps = _Steps(f.dtype)
        sums = [
            [steps.let(k.Load(self.sums, self._kept + ((4 * i + j) * ROWS + r) * cut.lanes + lane)) for j in range(4)]
            for i in range(4)
        ]
        pixels = steps.both_ways(sums, _of_sums)
        stores = [
            k.Store(self.stage, i * (2 * cut.lanes) + lane * 2 + j, pixels[i][j]) for i in range(2) for j in range(2)
        ]
        back = k.For(lane, k.const(cut.lanes), (*steps.statements, *stores))
        left = k.const(ROWS) if f.outputs % ROWS == 0 else k.call("minimum", ROWS, f.outputs - first_channel)
        output = group * f.outputs + first_channel + r
        return [k.For(r, left, (back, self._rows(output, first, skip)))]

    def _rows(self, output: k.Expr, first: k.Var, skip: k.Var) -> k.Stmt:
        """Stores the rows of pixels of a channel that are new, two for each row of squares."""
        f, x, line, i = self.f, k.Var("x"), k.Var("line"), k.Var("i")
        row, image, down = k.Var("row"), k.Var("image"), k.Var("down")
        y = down * 2 + i
        value = k.Load(self.stage, row * (2 * self.across) + i * (2 * self.cut.lanes) + x)
        pixels: k.Stmt = k.For(x, k.const(f.width), f.store([image, output, y, x], value))
        if f.height % 2:
            pixels = k.If(y < f.height, (pixels,))
        named = (
            k.Let(row, line + skip),
            k.Let(image, (first + row) // self.down),
            k.Let(down, (first + row) % self.down),
        )
        return k.For(line, self.cut.rows - skip, (*named, k.For(i, k.const(2), (pixels,))))


def _cover(count: int) -> int:
    """The least power of two that is not below ``count``."""
    return 1 << (count - 1).bit_length()
