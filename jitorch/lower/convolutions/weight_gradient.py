"""The recipe for the gradient of a convolution with regard to its weight: dot products over all positions.

Both operands are copied to one row pitch (`jitorch.lower.convolutions.padded`), the output's gradient with zeros
between its rows, so that a tap is an offset and the sum over an image runs along memory: lanes are positions.  A
tile is some output channels by neighbouring taps (by input channels, if the kernel is one element wide).  Its
sums are vectors; they stay in a small buffer while a block of positions is in the cache, and the lanes are
added up at the end.
"""

from __future__ import annotations

import math

from jitorch.dims import Dim
from jitorch.dtypes import Category
from jitorch.ir import kernel as k
from jitorch.ir.sizes import size_expr
from jitorch.lower.convolutions.convolution import Axis, axes_of, memory_of, sum_dtype, sum_registers
from jitorch.lower.convolutions.direct import Window
from jitorch.lower.convolutions.padded import Padded, PaddedAxis, padded_kernel
from jitorch.lower.nests import finish, kernel_of
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job, Made
from jitorch.ops.conv import padded_sizes

MOST_COLUMNS = 7
BLOCK = 512
"""Positions whose operands stay in the first-level cache while all tiles of a unit go over them."""
PARTIAL = 8 * 1024
"""Elements of the sums of a unit, all lanes counted."""


def convolution_weight(job: Job) -> Made:
    """``x: [N, G*C, *S]``, ``g: [N, G*O, *S']`` to ``[G*O, C, *K]``."""
    x, g = job.types
    attrs = job.node.attrs
    sizes = (*x.shape[1:], *g.shape[1:], *attrs["low"], *attrs["high"])
    is_known = all(isinstance(d, int) for d in sizes) and min(*x.shape[1:], *g.shape[1:]) > 0  # type: ignore[type-var]
    if not job.target.is_cpu or not is_known or x.dtype.category not in (Category.INT, Category.FLOAT):
        return _plain(job)
    return _Recipe(job).made()


class _Recipe:
    def __init__(self, job: Job):
        self.job = job
        self.dtype = sum_dtype(job.out.dtype)
        self.lanes = job.target.lanes(self.dtype)
        self.axes = axes_of(job, job.types[0].shape[2:], job.types[1].shape[2:], job.out.shape[2:])
        self.groups: int = job.node.attrs["groups"]
        self.outputs: int = job.out.shape[0] // self.groups  # type: ignore[assignment,operator]
        self.inputs: int = job.out.shape[1]  # type: ignore[assignment]
        self.kernels: list[k.Kernel] = []
        self.temporaries: list[tuple[k.Buffer, Dim]] = []
        kernel = self.axes[-1].kernel
        self.along_taps = 1 < kernel <= MOST_COLUMNS
        self.columns = kernel if self.along_taps else min(4, self.inputs)
        self.rows = self._best_rows()

    def _best_rows(self) -> int:
        """Output channels of a tile: the tile's sums, one vector of each and one of x fit the registers."""
        columns = self.columns
        fitting = [r for r in range(1, self.outputs + 1) if r * columns + r + 1 <= sum_registers(self.job.target)] or [
            1
        ]
        return min(fitting, key=lambda r: (-(-self.outputs // r) * max(r * columns, r + columns, 8), -r))

    def made(self) -> Made:
        axes = self.axes if len(self.axes) > 1 else [Axis(1, 1, 1, 1, 1, 0, 0, 1), *self.axes]
        pairs = [axis.forward() for axis in self.axes]
        stored, windows = [p for p, _ in pairs], [w for _, w in pairs]
        last, tail = self.axes[-1], 0
        if last.stride == last.spacing == 1 and min(last.low, last.high) >= 0:
            stored[-1], tail = last.shared_zeros()
        if len(self.axes) == 1:
            stored.insert(0, PaddedAxis(1, 0, 1))
            windows.insert(0, Window(1, lambda j: (j, k.const(0), k.const(0))))
        pitch = int(stored[-1].count)  # type: ignore[arg-type]
        height, width = axes[-2].out, axes[-1].out
        steps = -(-((height - 1) * pitch + width) // self.lanes)
        # Vectors reach over the end of the last row: there are zeros, not what happens to be in memory.
        reach = steps * self.lanes + (int(stored[-2].count) - height) * pitch + int(last.forward()[0].count) - width  # type: ignore[arg-type]
        tail = max(tail, reach - int(stored[-2].count) * pitch)  # type: ignore[arg-type]
        behind = max(steps * self.lanes - height * pitch, 0)
        lines = height
        if len(axes) > 2:  # another plane follows at once
            lines, behind = -(-steps * self.lanes // pitch) if behind else height, 0
        lead = [PaddedAxis(a.out, 0, a.out) for a in axes[:-2]]
        flat = (*lead, PaddedAxis(height, 0, lines), PaddedAxis(width, 0, pitch))
        x = self._source(0, tuple(stored), tail)
        g = self._source(1, flat, behind)
        self.kernels.append(self._kernel(x, g, windows, axes, steps))
        return Made(tuple(self.kernels), tuple(self.temporaries))

    def _source(self, operand: int, axes: tuple[PaddedAxis, ...], tail: int) -> Padded:
        value = self.job.node.operands[operand]
        lead = value.type.shape[:2]  # type: ignore[union-attr]
        whole = all(a.low == 0 and a.count == a.size and a.stride == a.step == 1 for a in axes)
        memory = memory_of(value, self.job)
        if whole and not tail and memory is not None and memory.dtype is self.dtype:
            there = Padded(memory, lead, axes, is_copy=False)
            if not there.clashes:
                return there
        name = f"{self.job.name}_{'gradient' if operand else 'input'}"
        copy = Padded(k.Buffer(name, self.dtype), lead, axes, tail)
        self.temporaries.append((copy.buffer, copy.size))
        given = len(self.axes) < len(axes)
        puller = Puller(self.job.buffers, self.job.scalars)
        self.kernels.append(padded_kernel(f"{name}_pad", value, copy, puller, rows_given=given))
        return copy

    def _kernel(self, x: Padded, g: Padded, windows: list[Window], axes: list[Axis], steps: int) -> k.Kernel:
        job, lanes, columns, rows = self.job, self.lanes, self.columns, self.rows
        outer = windows[:-1] if self.along_taps else windows
        taps = [k.Var(f"k{i}") for i in range(len(outer))]
        inner = math.prod(w.count for w in outer)
        wide = 1 if self.along_taps else columns  # channels of a tile
        tile = rows * columns * lanes
        tiles = max(1, min(PARTIAL // (inner * tile), -(-self.inputs // wide)))
        while tiles > 1 and tiles * wide > self.inputs:
            tiles -= 1
        channels = tiles * wide
        partial = k.Buffer("partial", self.dtype, "local", tiles * inner * tile)
        sums = k.Buffer("sums", self.dtype, "local", tile)
        unit, group, lane = k.Var("unit"), k.Var("g"), k.Var("lane")
        block_o, block_c, o, c = k.Var("block_o"), k.Var("block_c"), k.Var("o"), k.Var("c")
        skip_o, skip_c = k.Var("skip_o"), k.Var("skip_c")
        blocks_o, blocks_c = -(-self.outputs // rows), -(-self.inputs // channels)
        head: list[k.Stmt] = [
            k.Let(block_c, unit % blocks_c),
            k.Let(block_o, unit // blocks_c % blocks_o),
            k.Let(group, unit // (blocks_c * blocks_o)),
            k.Let(o, k.call("minimum", block_o * rows, self.outputs - rows)),
            k.Let(skip_o, block_o * rows - o),
            k.Let(c, k.call("minimum", block_c * channels, self.inputs - channels)),
            k.Let(skip_c, block_c * channels - c),
        ]
        every = [(r, j) for r in range(rows) for j in range(columns)]

        def vectors(*statements: k.Stmt) -> k.Stmt:
            return k.For(lane, k.const(lanes), statements, "vector")

        clear = k.Var("z")
        nothing = vectors(k.Store(partial, clear * lanes + lane, k.const(0, self.dtype)))
        head.append(k.For(clear, k.const(tiles * inner * rows * columns), (nothing,)))

        batch = size_expr(g.lead[0])
        images = max(1, BLOCK // (steps * lanes))
        parts = -(-steps // max(1, BLOCK // lanes))
        each = -(-steps // parts)
        bulk, part, t, m, s = k.Var("bulk"), k.Var("part"), k.Var("t"), k.Var("m"), k.Var("s")
        lead = [k.Var(f"at{i}") for i in range(len(axes) - 2)]
        place: k.Expr = t
        for var, window in zip(taps, outer):
            place = place * window.count + var
        at = place * tile
        b, p = bulk * images + m, (part * each + s) * lanes
        zeros: list[k.Expr] = [k.const(0)] * len(axes)
        found = [w.tap(j) for w, j in zip(outer, taps)]
        begin_x, begin_g = k.Var("begin_x"), k.Var("begin_g")
        x_there = x.channels(b, group * self.inputs + c + t * wide) + p
        g_there = g.channels(b, group * self.outputs + o) + g.offset(k.const(0), zeros, [*lead, *zeros[:2]]) + p

        def column(j: int) -> k.Expr:
            """How far column ``j`` of the tile is ahead in x."""
            seen = [*found, windows[-1].tap(k.const(j))] if self.along_taps else found
            ahead = [a for _, _, a in seen]
            ahead = [*(u + a for u, a in zip(lead, ahead)), *ahead[-2:]]
            return x.offset(k.const(0 if self.along_taps else j), [f for _, f, _ in seen], ahead)

        gradients = [k.Var(f"g{r}", self.dtype) for r in range(rows)]
        inputs = [k.Var(f"x{j}", self.dtype) for j in range(columns)]
        product: list[k.Stmt] = [
            k.Let(v, k.Load(g.buffer, begin_g + g.channels(k.const(0), k.const(r)) + lane))
            for r, v in enumerate(gradients)
        ]
        for j, v in enumerate(inputs):
            product.append(k.Let(v, k.Load(x.buffer, begin_x + column(j) + lane)))
            for r in range(rows):
                there = (r * columns + j) * lanes + lane
                term = k.call("mul", gradients[r], v)
                product.append(k.Store(sums, there, k.call("add", k.Load(sums, there), term)))
        dots: tuple[k.Stmt, ...] = (k.Let(begin_x, x_there), k.Let(begin_g, g_there), vectors(*product))
        dots = (k.For(s, k.call("minimum", k.const(each), steps - part * each), dots),)
        dots = (k.For(m, k.call("minimum", k.const(images), batch - bulk * images), dots),)
        spots = [(i * lanes) + lane for i in range(len(every))]
        body: tuple[k.Stmt, ...] = (
            vectors(*(k.Store(sums, i, k.Load(partial, at + i)) for i in spots)),
            *dots,
            vectors(*(k.Store(partial, at + i, k.Load(sums, i)) for i in spots)),
        )
        for var, window in reversed(list(zip(taps, outer))):
            body = (k.For(var, k.const(window.count), body),)
        body = (k.For(t, k.const(tiles), body),)
        body = (k.For(bulk, (batch + (images - 1)) // images, (k.For(part, k.const(parts), body),)),)
        for var, axis in reversed(list(zip(lead, axes))):
            body = (k.For(var, k.const(axis.out), body),)
        stored = self._stored(partial, taps, outer, at, group, o, c, skip_o, skip_c, wide, channels)
        units = self.groups * blocks_o * blocks_c
        whole = k.For(unit, k.const(units), (*head, *body, *stored), "parallel")
        return kernel_of(job.name, (whole,), (partial, sums))

    def _stored(
        self, partial: k.Buffer, taps: list[k.Var], outer: list[Window], at: k.Expr, group: k.Var, o: k.Var, c: k.Var,
        skip_o: k.Var, skip_c: k.Var, wide: int, channels: int,
    ) -> tuple[k.Stmt, ...]:  # fmt: skip
        """Add up the lanes of every sum and store it, unless an earlier block has done so."""
        lanes, columns = self.lanes, self.columns
        r, n, j, lane, total = k.Var("r"), k.Var("n"), k.Var("j"), k.Var("lane"), k.Var("total", self.dtype)
        row, channel = r + skip_o, n + skip_c
        column = j if self.along_taps else channel % wide
        tile = k.substitute(at, {k.Var("t"): channel // wide if wide > 1 else channel})
        there = tile + (row * columns + column) * lanes + lane
        places: list[k.Expr] = [w.tap(v)[0] for w, v in zip(outer, taps)]
        if self.along_taps:
            places.append(j)
        places = places[-len(self.axes) :]
        coordinates = [group * self.outputs + o + row, c + channel, *places]
        element = k.cast(total, self.job.out.dtype)
        added = k.Assign(total, k.call("add", total, k.Load(partial, there), reassociate=True))
        body: tuple[k.Stmt, ...] = (
            k.Local(total, k.const(0, self.dtype)),
            k.For(lane, k.const(lanes), (added,), "vector"),
            *self.job.sink.store(coordinates, element),
        )
        loops: list[tuple[k.Var, k.Expr]] = [(r, self.rows - skip_o), (n, channels - skip_c)]
        loops += [(v, k.const(w.count)) for v, w in zip(taps, outer)]
        if self.along_taps:
            loops.append((j, k.const(columns)))
        for var, extent in reversed(loops):
            body = (k.For(var, extent, body),)
        return body


def _plain(job: Job) -> Made:
    """One sum at a time over a padded copy: for sizes that are symbols, and for GPUs."""
    x, g = job.types
    attrs = job.node.attrs
    n = len(attrs["stride"])
    padded = padded_sizes(x.shape[2:], attrs["low"], attrs["high"], attrs["interior"])
    axes = tuple(
        PaddedAxis(size, low, count, e + 1)
        for size, low, count, e in zip(x.shape[2:], attrs["low"], padded, attrs["interior"])
    )
    dtype = sum_dtype(x.dtype)
    copy = Padded(k.Buffer(f"{job.name}_padded", dtype), (x.shape[0], x.shape[1]), axes)
    flat = tuple(PaddedAxis(size, 0, size) for size in g.shape[2:])
    other = Padded(k.Buffer(f"{job.name}_gradient", dtype), (g.shape[0], g.shape[1]), flat)
    fills = [
        padded_kernel(f"{job.name}_pad_{i}", value, to, Puller(job.buffers, job.scalars))
        for i, (value, to) in enumerate(zip(job.node.operands, (copy, other)))
    ]
    b, o, c = k.Var("b"), k.Var("o"), k.Var("c")
    places, taps = [k.Var(f"at{i}") for i in range(n)], [k.Var(f"k{i}") for i in range(n)]
    total = k.Var("total", dtype)
    channels, outputs = size_expr(job.out.shape[1]), size_expr(job.out.shape[0])
    at = [u * s + j * d for u, s, j, d in zip(places, attrs["stride"], taps, attrs["dilation"])]
    first = o // (outputs // attrs["groups"]) * channels if attrs["groups"] != 1 else k.const(0)
    zeros: list[k.Expr] = [k.const(0)] * n
    left = k.Load(copy.buffer, copy.channels(b, first + c) + copy.offset(k.const(0), zeros, at))
    right = k.Load(other.buffer, other.channels(b, o) + other.offset(k.const(0), zeros, list(places)))
    body: tuple[k.Stmt, ...] = (k.Assign(total, k.call("add", total, k.call("mul", left, right), reassociate=True)),)
    for var, size in reversed([(b, g.shape[0]), *zip(places, g.shape[2:])]):
        body = (k.For(var, size_expr(size), body),)
    stored = job.sink.store([o, c, *taps], k.cast(total, x.dtype))
    writer = Puller(job.buffers, job.scalars)
    body = (k.Local(total, k.const(0, dtype)), *body, *stored)
    for i, (var, size) in reversed(list(enumerate(zip([o, c, *taps], job.out.shape)))):
        body = (k.For(var, size_expr(size), body, "serial" if i else "parallel"),)
    for statement in body:
        writer.emit(statement)
    made = (*fills, finish(job.name, writer))
    return Made(made, ((copy.buffer, copy.size), (other.buffer, other.size)))
