"""Recipes for convolutions: where the direct kernel (`jitorch.lower.convolutions.direct`) is used, and on what.

The input is copied with zeros around it (`jitorch.lower.convolutions.padded`) unless it can be read where it is.  A
stride is a matter of the copy's phases.  Zeros between the input's elements, as in the gradient of a
strided convolution, are never multiplied: outputs of one remainder see a fixed set of taps, and each
remainder is a kernel of its own.

Sizes that are symbols, other than the batch, and processors without vector registers take a plain sum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jitorch import dtypes
from jitorch.dims import Dim
from jitorch.dtypes import Category, DType
from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir.graph import Value
from jitorch.ir.sizes import size_expr
from jitorch.lower.contractions.panels import Batch, Product, Side, product_kernel
from jitorch.lower.contractions.tiles import choose_tile, staged_blocking
from jitorch.lower.convolutions.cut import choose
from jitorch.lower.convolutions.direct import UNROLLED_PRODUCTS, Direct, Positions, Window, direct_kernel
from jitorch.lower.convolutions.padded import Padded, PaddedAxis, padded_kernel
from jitorch.lower.convolutions.winograd import Filtering, filtering_kernel, row_run, squares_axis, weights_kernel
from jitorch.lower.convolutions.winograd_cut import Cut, choose_cut
from jitorch.lower.fuse import FLAT_VIEWS, INDEX_VIEWS
from jitorch.lower.index import Index
from jitorch.lower.nests import finish, kernel_of
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job, Made
from jitorch.lower.target import Target
from jitorch.ops.conv import padded_sizes

MOST_REMAINDERS = 9
"""Strides with more remainders than this multiply zeros: each remainder is a kernel to compile."""


FEW_CHANNELS = 16
"""With fewer channels in or out there is not enough work on an element to pay for its copy."""


def convolution(job: Job) -> Made:
    """``x: [N, G*C, *S]``, ``w: [G*O, C, *K]`` to ``[N, G*O, *S']``."""
    x, w = job.types
    attrs = job.node.attrs
    sizes = (*x.shape[1:], *w.shape, *job.out.shape[1:], *attrs["low"], *attrs["high"])
    is_known = all(isinstance(d, int) for d in sizes) and min(*x.shape[1:], *w.shape) > 0  # type: ignore[type-var]
    if not job.target.is_cpu or not is_known or x.dtype.category not in (Category.INT, Category.FLOAT):
        return _plain(job)
    recipe = _Recipe(job)
    spread = any(attrs["interior"]) and all(s == 1 for s in attrs["stride"])
    if spread and math.prod(e + 1 for e in attrs["interior"]) <= MOST_REMAINDERS:
        return recipe.by_remainder()
    if recipe.is_pointwise():
        return recipe.pointwise()
    cut = recipe.filtering_cut()
    return recipe.forward() if cut is None else recipe.filtered(cut)


def sum_dtype(dtype: DType) -> DType:
    """What products of ``dtype`` are added up in."""
    return dtypes.float32 if dtype.is_floating_point and dtype.itemsize < 4 else dtype


def sum_registers(target: Target) -> int:
    """Registers for sums and operands: a product of its own takes one more."""
    return target.registers - (0 if target.fma else 1)


def memory_of(value: Value, job: Job) -> k.Buffer | None:
    """The buffer whose elements are those of ``value`` in row-major order, if there is one."""
    while value not in job.buffers and value.node is not None and value.node.op.name in FLAT_VIEWS:
        value = value.node.operands[0]
    return job.buffers.get(value)


def _is_view(value: Value, job: Job) -> bool:
    """Whether an element of ``value`` is a load at an index, and nothing else."""
    while value not in job.buffers:
        if value.node is None or value.node.op.name not in INDEX_VIEWS:
            return False
        value = value.node.operands[0]
    return True


@dataclass(frozen=True)
class Axis:
    """The geometry of one axis, in numbers."""

    size: int
    out: int
    kernel: int
    stride: int
    dilation: int
    low: int
    high: int
    spacing: int

    def forward(self) -> tuple[PaddedAxis, Window]:
        """The copy in phases of the stride, and the taps in it."""
        s, d = self.stride, self.dilation
        phases = max(j * d % s for j in range(self.kernel)) + 1
        count = self.out + max(j * d // s for j in range(self.kernel))
        axis = PaddedAxis(self.size, self.low, count, self.spacing, s, phases)
        return axis, Window(self.kernel, lambda j: (j, j * d % s, j * d // s))

    def shared_zeros(self) -> tuple[PaddedAxis, int]:
        """The last axis: the zeros behind a row are those in front of the next; how many are behind the plane."""
        low, high = self.low, self.high
        pitch = max(self.size + max(low, high), self.out)
        return PaddedAxis(self.size, low, pitch), max(low + self.size + high - pitch, 0)

    def taps_of(self, remainder: int) -> list[tuple[int, int]]:
        """The taps that see elements at outputs of this remainder modulo the spacing: (weight's place, ahead)."""
        at = [(j, remainder + j * self.dilation - self.low) for j in range(self.kernel)]
        return [(j, place // self.spacing) for j, place in at if place % self.spacing == 0]

    def outputs_of(self, remainder: int) -> int:
        return -(-(self.out - remainder) // self.spacing)


def axes_of(job: Job, sizes: Sequence[Dim], outs: Sequence[Dim], kernel: Sequence[Dim]) -> list[Axis]:
    """The geometry of a job's axes, all of known sizes."""
    attrs = job.node.attrs
    spacing = [e + 1 for e in attrs["interior"]]
    numbers = zip(
        sizes, outs, kernel, attrs["stride"], attrs["dilation"], attrs["low"], attrs["high"], spacing, strict=True
    )
    return [Axis(*n) for n in numbers]  # type: ignore[arg-type]


class _Recipe:
    def __init__(self, job: Job):
        self.job = job
        self.x, self.w = job.node.operands
        attrs: dict[str, Any] = job.node.attrs
        self.groups: int = attrs["groups"]
        x, w = job.types
        self.batch: Dim = x.shape[0]
        self.inputs: int = w.shape[1]  # type: ignore[assignment]
        self.outputs: int = w.shape[0] // self.groups  # type: ignore[assignment,operator]
        self.axes = axes_of(job, x.shape[2:], job.out.shape[2:], w.shape[2:])
        self.dtype = sum_dtype(job.out.dtype)
        self.kernels: list[k.Kernel] = []
        self.temporaries: list[tuple[k.Buffer, Dim]] = []

    @property
    def pixels(self) -> int:
        return math.prod(a.out for a in self.axes)

    def is_pointwise(self) -> bool:
        """Whether each output sees one element of each channel, all in the order of the input: a matrix product."""
        plain = all(a.kernel == a.stride == a.spacing == 1 and a.size == a.out and a.low == 0 for a in self.axes)
        wide = self.pixels >= self.job.target.lanes(self.dtype)
        return plain and wide and min(self.inputs, self.outputs) >= FEW_CHANNELS

    def pointwise(self) -> Made:
        """Weights times all pixels of an image; each task copies its pixels, which lie a whole channel apart."""
        job, axes = self.job, len(self.axes)
        weight = self._weight()
        taps: list[k.Expr] = [k.const(0)] * axes

        def of_row(at: Batch, first: k.Expr, c: k.Expr, place: k.Expr) -> k.Expr:
            return weight(at[1] * self.outputs + (first + place), c, taps)

        def of_pixel(at: Batch, pixel: k.Expr, c: k.Expr) -> tuple[tuple[k.Stmt, ...], k.Expr]:
            puller = Puller(job.buffers, job.scalars)
            index = Index(job.types[0].shape, [(1, at[0]), (1, at[1] * self.inputs + c), (axes, pixel)])
            value = puller.pull(self.x, index)
            return tuple(puller.block.statements), value

        def store(at: Batch, row: k.Expr, pixel: k.Expr, total: k.Expr) -> tuple[k.Stmt, ...]:
            index = Index(job.out.shape, [(1, at[0]), (1, at[1] * self.outputs + row), (axes, pixel)])
            return job.sink.store_at(index, k.cast(total, job.out.dtype))

        tile = choose_tile(job.target, self.dtype, self.outputs, self.pixels, True)
        product = Product(
            (self.batch, self.groups),
            Side(self.outputs, tile.rows, of_row),
            Side(self.pixels, tile.lanes, lambda at, first, c, place: of_pixel(at, first + place, c)[1]),
            self.inputs,
            self.dtype,
            store,
            tile.width,
            is_cheap=job.sink.is_plain,
            stage=of_pixel,
        )
        batch = self.batch * self.groups
        blocking = staged_blocking(tile, self.dtype, batch, self.outputs, self.pixels, self.inputs)
        self.kernels.append(product_kernel(job.name, product, blocking))
        return self._made()

    def filtering_cut(self) -> Cut | None:
        """How minimal filtering would cut this layer, where it applies and is faster."""
        plain = all(a.kernel == 3 and a.stride == a.spacing == a.dilation == 1 for a in self.axes)
        if len(self.axes) != 2 or not plain or not self.dtype.is_floating_point:
            return None
        if min(self.inputs, self.outputs) < FEW_CHANNELS or min(a.low for a in self.axes) < 0:
            return None
        images = self.batch if isinstance(self.batch, int) else None
        target = self.job.target
        return choose_cut(
            images, self.axes[0].out, self.axes[1].out, self.inputs, self.outputs, target.lanes(self.dtype),
            sum_registers(target), self.dtype.itemsize,
        )  # fmt: skip

    def filtered(self, cut: Cut) -> Made:
        """By minimal filtering (`jitorch.lower.convolutions.winograd`)."""
        down, across = self.axes
        axes = (squares_axis(down.size, down.low, down.out), squares_axis(across.size, across.low, across.out))
        source = self._copy(axes, 0, row_run(cut, -(-across.out // 2)).over)
        f = Filtering(
            source, self.batch, self.groups, self.outputs, self.inputs, down.out, across.out, self._weight(),
            self._store, self.dtype, cut,
        )  # fmt: skip
        weights = self._temporary("terms", self.dtype, f.weights)
        self.kernels.append(weights_kernel(f"{self.job.name}_terms", f, weights))
        self.kernels.append(filtering_kernel(self.job.name, f, weights))
        return self._made()

    def forward(self) -> Made:
        pairs = [axis.forward() for axis in self.axes]
        stored, windows = [p for p, _ in pairs], tuple(w for _, w in pairs)
        last, tail = self.axes[-1], 0
        if last.stride == last.spacing == 1 and min(last.low, last.high) >= 0:
            stored[-1], tail = last.shared_zeros()
        source = self._source(tuple(stored), tail)
        self._direct(self.job.name, source, windows, tuple(Positions(a.out) for a in self.axes), self._weight())
        return self._made()

    def by_remainder(self) -> Made:
        """Each remainder of the output's coordinates modulo the spacing sees taps of its own."""
        stored = []
        fronts = []
        for axis in self.axes:
            seen = [
                (axis.outputs_of(r), ahead)
                for r in range(axis.spacing) if axis.outputs_of(r) > 0
                for _, ahead in axis.taps_of(r)
            ]  # fmt: skip
            front = max((-ahead for _, ahead in seen), default=0)
            fronts.append(max(front, 0))
            count = max((n + ahead for n, ahead in seen), default=0) + fronts[-1]
            stored.append(PaddedAxis(axis.size, fronts[-1], max(count, 1)))
        source = self._source(tuple(stored), 0)
        weight = self._weight()
        for number, remainders in enumerate(itertools.product(*(range(a.spacing) for a in self.axes))):
            counts = [a.outputs_of(r) for a, r in zip(self.axes, remainders)]
            if min(counts) <= 0:
                continue
            positions = tuple(Positions(n, r, a.spacing) for n, r, a in zip(counts, remainders, self.axes, strict=True))
            taps = [a.taps_of(r) for a, r in zip(self.axes, remainders)]
            name = f"{self.job.name}_{number}"
            if all(taps):
                windows = tuple(_window(t, front) for t, front in zip(taps, fronts))
                self._direct(name, source, windows, positions, weight)
            else:
                self._zeros(name, positions)
        return self._made()

    def _made(self) -> Made:
        return Made(tuple(self.kernels), tuple(self.temporaries))

    def _temporary(self, name: str, dtype: DType, size: Dim) -> k.Buffer:
        buffer = k.Buffer(f"{self.job.name}_{name}", dtype)
        self.temporaries.append((buffer, size))
        return buffer

    def _source(self, axes: tuple[PaddedAxis, ...], tail: int) -> Padded:
        """The padded input: itself if nothing is around it, else a copy."""
        lead = self.batch, self.inputs * self.groups
        buffer = memory_of(self.x, self.job)
        whole = all(a.low == 0 and a.count == a.size and a.stride == a.step == 1 for a in axes)
        if whole and buffer is not None and buffer.dtype is self.dtype:
            there = Padded(buffer, lead, axes, is_copy=False)
            if not there.clashes:
                return there
        return self._copy(axes, tail)

    def _copy(self, axes: tuple[PaddedAxis, ...], tail: int, behind: int = 0) -> Padded:
        """A copy of the input with zeros around it, and behind it."""
        lead = self.batch, self.inputs * self.groups
        plan = Padded(k.Buffer(f"{self.job.name}_padded", self.dtype), lead, axes, tail, behind=behind)
        self._temporary("padded", self.dtype, plan.size)
        puller = Puller(self.job.buffers, self.job.scalars)
        self.kernels.append(padded_kernel(f"{self.job.name}_pad", self.x, plan, puller))
        return plan

    def _weight(self) -> Callable[[k.Expr, k.Expr, list[k.Expr]], k.Expr]:
        """An element of the weight at (output, input, taps): read in place where that is a load."""
        shape = self.job.types[1].shape
        if _is_view(self.w, self.job) and self.job.types[1].dtype is self.dtype:
            puller = Puller(self.job.buffers, self.job.scalars)
            return lambda o, c, taps: puller.load(self.w, Index.of(shape, [o, c, *taps]))
        copy = self._temporary("weight", self.dtype, self.job.types[1].size)
        puller = Puller(self.job.buffers, self.job.scalars)
        variables = [k.Var(f"i{j}") for j in range(len(shape))]

        def nest(j: int) -> None:
            if j < len(shape):
                kind = "parallel" if j == 0 else "serial"
                puller.loop(variables[j], size_expr(shape[j]), lambda: nest(j + 1), kind)
                return
            index = Index.of(shape, variables)
            puller.emit(k.Store(copy, index.flat(), k.cast(puller.pull(self.w, index), self.dtype)))

        nest(0)
        self.kernels.append(finish(f"{self.job.name}_weights", puller))
        return lambda o, c, taps: k.Load(copy, Index.of(shape, [o, c, *taps]).flat())

    def _direct(
        self, name: str, source: Padded, windows: tuple[Window, ...], positions: tuple[Positions, ...],
        weight: Callable[[k.Expr, k.Expr, list[k.Expr]], k.Expr],
    ) -> None:  # fmt: skip
        if len(positions) == 1:
            one = Window(1, lambda j: (j, k.const(0), k.const(0)))
            source, windows, positions = source.with_rows(), (one, *windows), (Positions(1), *positions)
            inner_weight, inner_store = weight, self._store
            weight = lambda o, c, taps: inner_weight(o, c, taps[1:])  # noqa: E731
            store: Callable[[list[k.Expr], k.Expr], tuple[k.Stmt, ...]] = lambda at, e: inner_store([*at[:2], at[3]], e)  # noqa: E731
        else:
            store = self._store
        height, width = positions[-2].count, positions[-1].count
        pitch, channel = source.pitches[-2], source.channel
        if not isinstance(pitch, int) or not isinstance(channel, int):
            raise CompilerBug(f"{name}: a copy of unknown size")
        target = self.job.target
        tiling = choose(self.outputs, height, width, pitch, target.lanes(self.dtype), sum_registers(target))
        weights = self.outputs * self.inputs * math.prod(w.count for w in windows)
        image = self.inputs * channel
        strips = -(-height // tiling.height) * -(-width // tiling.columns)
        blocks = -(-self.outputs // tiling.rows)
        fits = weights * self.dtype.itemsize <= target.cache_bytes // 2
        direct = Direct(
            source, self.groups, self.outputs, self.inputs, windows, positions, weight, store, self.dtype, tiling,
            fits or strips * weights <= blocks * image,
            # Without an instruction for both, loads of several taps at once would take the sums' registers.
            UNROLLED_PRODUCTS if target.fma else 0,
        )  # fmt: skip
        self.kernels.append(direct_kernel(name, direct))

    def _store(self, coordinates: list[k.Expr], element: k.Expr) -> tuple[k.Stmt, ...]:
        return self.job.sink.store(coordinates, k.cast(element, self.job.out.dtype))

    def _zeros(self, name: str, positions: Sequence[Positions]) -> None:
        """Outputs that no tap reaches."""
        variables = [k.Var("b"), k.Var("o"), *(k.Var(f"at{i}") for i in range(len(positions)))]
        extents = [size_expr(self.batch), k.const(self.outputs * self.groups), *(k.const(p.count) for p in positions)]
        coordinates = [*variables[:2], *(p.coordinate(v) for p, v in zip(positions, variables[2:]))]
        body = self._store(coordinates, k.const(0, self.dtype))
        for i, (var, extent) in reversed(list(enumerate(zip(variables, extents)))):
            body = (k.For(var, extent, body, "serial" if i else "parallel"),)
        self.kernels.append(kernel_of(name, body, ()))


def _window(taps: list[tuple[int, int]], front: int) -> Window:
    """Taps that follow each other at constant steps, of weight and of input."""
    (place, ahead), *rest = taps
    step, move = (rest[0][0] - place, rest[0][1] - ahead) if rest else (0, 0)
    return Window(len(taps), lambda j: (j * step + place, k.const(0), j * move + (ahead + front)))


def _plain(job: Job) -> Made:
    """One sum at a time over a padded copy: for sizes that are symbols, and for GPUs."""
    x, w = job.types
    attrs = job.node.attrs
    groups: int = attrs["groups"]
    padded = padded_sizes(x.shape[2:], attrs["low"], attrs["high"], attrs["interior"])
    axes = tuple(
        PaddedAxis(size, low, count, e + 1)
        for size, low, count, e in zip(x.shape[2:], attrs["low"], padded, attrs["interior"])
    )
    dtype = sum_dtype(x.dtype)
    copy = Padded(k.Buffer(f"{job.name}_padded", dtype), (x.shape[0], x.shape[1]), axes)
    puller = Puller(job.buffers, job.scalars)
    fill = padded_kernel(f"{job.name}_pad", job.node.operands[0], copy, puller)
    n = len(axes)
    b, o, c = k.Var("b"), k.Var("o"), k.Var("c")
    places, taps = [k.Var(f"at{i}") for i in range(n)], [k.Var(f"k{i}") for i in range(n)]
    total = k.Var("total", dtype)
    inputs, outputs = size_expr(w.shape[1]), size_expr(w.shape[0])
    at = [u * s + j * d for u, s, j, d in zip(places, attrs["stride"], taps, attrs["dilation"])]
    first = o // (outputs // groups) * inputs if groups != 1 else k.const(0)
    offset = copy.channels(b, first) + copy.offset(c, [k.const(0)] * n, at)
    reads = Puller(job.buffers, job.scalars)

    def sums() -> None:
        element = reads.pull(job.node.operands[1], Index.of(w.shape, [o, c, *taps]))
        product = k.call("mul", k.Load(copy.buffer, offset), k.cast(element, dtype))
        reads.emit(k.Assign(total, k.call("add", total, product, reassociate=True)))

    def nest(loops: list[tuple[k.Var, k.Expr]], body: Callable[[], None], kind: str = "serial") -> None:
        if not loops:
            body()
            return
        (var, extent), *rest = loops
        reads.loop(var, extent, lambda: nest(rest, body), kind)

    def one() -> None:
        reads.emit(k.Local(total, k.const(0, dtype)))
        nest([(c, inputs), *zip(taps, map(size_expr, w.shape[2:]))], sums)
        for statement in job.sink.store([b, o, *places], k.cast(total, x.dtype)):
            reads.emit(statement)

    nest(list(zip([b, o, *places], map(size_expr, job.out.shape))), one, "parallel")
    return Made((fill, finish(job.name, reads)), ((copy.buffer, copy.size),))
