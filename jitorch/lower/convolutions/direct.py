"""The kernel of a direct convolution over a padded copy: strips, tiles, and rows stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jitorch.dims import Dim
from jitorch.dtypes import DType
from jitorch.ir import kernel as k
from jitorch.ir.sizes import size_expr
from jitorch.lower.convolutions.cut import Run, Tiling
from jitorch.lower.convolutions.padded import Padded
from jitorch.lower.nests import kernel_of

UNROLLED_PRODUCTS = 64
"""More vector products than this are a loop over taps: code for each would take longer to compile than it saves."""


@dataclass(frozen=True)
class Window:
    """The taps along one axis: tap ``j`` of ``count`` is (weight's place, phase, positions ahead)."""

    count: int
    tap: Callable[[k.Expr], tuple[k.Expr, k.Expr, k.Expr]]


@dataclass(frozen=True)
class Positions:
    """Outputs of one axis that one kernel computes: ``first, first + step, ...``, ``count`` of them."""

    count: int
    first: int = 0
    step: int = 1

    def coordinate(self, u: k.Expr) -> k.Expr:
        return u * self.step + self.first


@dataclass(frozen=True)
class Direct:
    """``out[b, o, *s] = sum over c and taps of weight(o, c, taps) * source``.

    ``outputs`` and ``channels`` are those of one group; ``o`` counts all outputs.  ``store`` gives the
    statements that put a value at coordinates ``(b, o, *s)``.  ``channels_inside``: all channels of a
    strip follow each other, not all strips of a channel.
    """

    source: Padded
    groups: int
    outputs: int
    channels: int
    windows: tuple[Window, ...]
    positions: tuple[Positions, ...]
    weight: Callable[[k.Expr, k.Expr, list[k.Expr]], k.Expr]
    store: Callable[[list[k.Expr], k.Expr], tuple[k.Stmt, ...]]
    dtype: DType
    tiling: Tiling
    channels_inside: bool
    unrolled_products: int = UNROLLED_PRODUCTS


def direct_kernel(name: str, d: Direct) -> k.Kernel:
    return _Writer(d).kernel(name)


class _Writer:
    def __init__(self, direct: Direct):
        self.direct = d = direct
        self.tiling = t = direct.tiling
        self.stage = k.Buffer("stage", d.dtype, "local", t.rows * t.positions)
        self.scratch = [self.stage]
        self.g, self.b, self.channel, self.row, self.column = (k.Var(n) for n in ("g", "b", "o", "row", "column"))
        self.lead = [k.Var(f"at{i}") for i in range(len(d.positions) - 2)]
        self.base, self.output = k.Var("base"), k.Var("output")

    def kernel(self, name: str) -> k.Kernel:
        d, t = self.direct, self.tiling
        height, width = self.direct.positions[-2].count, self.direct.positions[-1].count
        skipped: list[k.Expr] = []
        blocks: list[tuple[k.Var, Dim]] = [(self.b, d.source.lead[0]), (self.g, d.groups)]
        blocks += [(var, p.count) for var, p in zip(self.lead, d.positions)]
        strips = [(k.Var("strip"), -(-height // t.height)), (k.Var("part"), -(-width // t.columns))]
        channel_block = (k.Var("block"), -(-d.outputs // t.rows))
        nest = [*blocks, *strips, channel_block] if d.channels_inside else [channel_block, *blocks, *strips]
        unit = k.Var("unit")
        statements = self._decoded(unit, nest)
        for var, (block, count), size, length in (
            (self.channel, channel_block, d.outputs, t.rows),
            (self.row, strips[0], height, t.height),
            (self.column, strips[1], width, t.columns),
        ):
            # A last block that would reach over the end begins earlier, and stores only what is new.
            start = block * length
            if count * length == size:
                skipped.append(k.const(0))
                statements.append(k.Let(var, start))
                continue
            statements.append(k.Let(var, k.call("minimum", start, size - length)))
            skip = k.Var(f"skip_{var.name}")
            statements.append(k.Let(skip, start - var))
            skipped.append(skip)
        statements.append(k.Let(self.output, self.g * d.outputs + self.channel))
        source = d.source
        places = [*self.lead, self.row, self.column]
        zeros: list[k.Expr] = [k.const(0)] * len(places)
        statements.append(
            k.Let(self.base, source.channels(self.b, self.g * d.channels) + source.offset(k.const(0), zeros, places))
        )
        statements += self._tiles()
        statements += self._rows(*skipped)
        total: k.Expr = k.const(1)
        for _, count in nest:
            total = total * size_expr(count)
        return kernel_of(name, (k.For(unit, total, tuple(statements), "parallel"),), tuple(self.scratch))

    def _decoded(self, unit: k.Var, nest: Sequence[tuple[k.Var, Dim]]) -> list[k.Stmt]:
        """Each block's number out of the unit's."""
        result: list[k.Stmt] = []
        rest: k.Expr = unit
        for i, (var, count) in reversed(list(enumerate(nest))):
            if count == 1:
                result.append(k.Let(var, k.const(0)))
                continue
            size = size_expr(count)
            result.append(k.Let(var, rest if i == 0 else rest % size))
            rest = rest // size
        return result

    def _tiles(self) -> list[k.Stmt]:
        """The full tiles of a strip, then those at its end.

        A tile that would reach over the end begins earlier; if it is as long as a full one, it is the last of those.
        """
        t, tile = self.tiling, k.Var("tile")
        start: k.Expr = tile * t.full.length
        if t.tail == (t.full,):
            start = k.call("minimum", start, t.positions - t.full.length)
            return [k.For(tile, k.const(t.tiles + 1), self._tile(start, t.full))]
        result: list[k.Stmt] = []
        if t.tiles:
            result.append(k.For(tile, k.const(t.tiles), self._tile(start, t.full)))
        done = t.tiles * t.full.length
        for run in t.tail:
            first = min(done, t.positions - run.length)
            result.append(k.For(k.Var("last"), k.const(1), self._tile(k.const(first), run)))
            done = first + run.length
        return result

    def _tile(self, start: k.Expr, run: Run) -> tuple[k.Stmt, ...]:
        """Sums of ``rows`` channels at the positions from ``start`` on, in registers; then into the stage."""
        d, rows = self.direct, self.tiling.rows
        sums = k.Buffer(f"sums{len(self.scratch)}", d.dtype, "local", rows * run.length)
        self.scratch.append(sums)
        lane, r, c = k.Var("lane"), k.Var("r"), k.Var("c")
        taps = [k.Var(f"k{i}") for i in range(len(d.windows))]
        begin = k.Var("begin")

        def over(statements: list[k.Stmt], before: list[k.Stmt]) -> k.Stmt:
            body = (*before, k.For(r, k.const(rows), tuple(statements), "unroll"))
            return k.For(lane, k.const(run.width), body, "vector")

        def place(j: int) -> k.Expr:
            return r * run.length + (lane + j * run.width)

        every = range(run.vectors)
        inputs = [k.Var(f"x{j}", d.dtype) for j in every]
        found = [w.tap(j) for w, j in zip(d.windows, taps)]
        offset = d.source.offset(c, [phase for _, phase, _ in found], [ahead for _, _, ahead in found])
        weight = k.Var("weight", d.dtype)
        read: list[k.Stmt] = [
            k.Let(x, k.Load(d.source.buffer, begin + offset + (lane + j * run.width))) for j, x in enumerate(inputs)
        ]
        value = k.cast(d.weight(self.output + r, c, [at for at, _, _ in found]), d.dtype)
        product: list[k.Stmt] = [k.Let(weight, value)]
        product += [
            k.Store(sums, place(j), k.call("add", k.Load(sums, place(j)), k.call("mul", weight, inputs[j])))
            for j in every
        ]
        body: k.Stmt = over(product, read)
        products = rows * run.vectors
        for var, window in reversed(list(zip(taps, d.windows))):
            products *= window.count
            kind = "unroll" if products <= d.unrolled_products else "serial"
            body = k.For(var, k.const(window.count), (body,), kind)
        return (
            over([k.Store(sums, place(j), k.const(0, d.dtype)) for j in every], []),
            k.Let(begin, self.base + start),
            k.For(c, k.const(d.channels), (body,)),
            over(
                [
                    k.Store(
                        self.stage, r * self.tiling.positions + start + (lane + j * run.width), k.Load(sums, place(j))
                    )
                    for j in every
                ],
                [],
            ),
        )

    def _rows(self, skip_channels: k.Expr, skip_rows: k.Expr, skip_columns: k.Expr) -> list[k.Stmt]:
        """Store the stage's rows."""
        d, t = self.direct, self.tiling
        r, y, x = k.Var("r"), k.Var("y"), k.Var("x")
        channel, row, column = r + skip_channels, y + skip_rows, x + skip_columns
        value = k.Load(self.stage, channel * t.positions + row * t.pitch + column)
        where = [*self.lead, self.row + row, self.column + column]
        coordinates = [p.coordinate(u) for p, u in zip(d.positions, where)]
        body = d.store([self.b, self.output + channel, *coordinates], value)
        for var, length, skip in ((x, t.columns, skip_columns), (y, t.height, skip_rows), (r, t.rows, skip_channels)):
            body = (k.For(var, length - skip if isinstance(skip, k.Var) else k.const(length), body),)
        return list(body)
