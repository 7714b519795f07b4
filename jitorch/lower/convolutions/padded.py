"""A copy of an operand with zeros around it, in the layout that convolutions read.

Along an axis of stride ``s`` the elements of one remainder modulo ``s`` (a *phase*) stand next to each
other, so that every tap of a kernel reads neighbours.  The copy is ``[N, C, phases, *positions]``;
the value that it copies is pulled, so whatever makes it element by element is computed on the way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jitorch import dims
from jitorch.dims import Dim
from jitorch.ir import kernel as k
from jitorch.ir.graph import Value
from jitorch.ir.sizes import size_expr
from jitorch.lower.index import Index
from jitorch.lower.nests import finish
from jitorch.lower.pull import Puller

PAGE_BYTES = 4096
"""Channels that lie a multiple of this apart would share the sets of a first-level cache."""
CACHE_LINE = 64


@dataclass(frozen=True)
class PaddedAxis:
    """An axis of ``size`` elements at ``low, low + step, ...``, of which ``phases`` of ``count`` positions are kept.

    Position ``u`` of phase ``f`` is the padded coordinate ``u * stride + f``.
    """

    size: Dim
    low: Dim
    count: Dim
    step: int = 1
    stride: int = 1
    phases: int = 1

    @property
    def extent(self) -> k.Expr:
        return size_expr(self.count)


@dataclass(frozen=True)
class Padded:
    """Where the elements of the copy are.

    ``tail``: zeros behind each plane, read by its last row; ``behind``: zeros behind everything.
    """

    buffer: k.Buffer
    lead: tuple[Dim, Dim]  # batch, channels
    axes: tuple[PaddedAxis, ...]
    tail: int = 0
    is_copy: bool = True
    behind: int = 0

    @property
    def pitches(self) -> list[Dim]:
        """How far apart the positions of each axis are."""
        result: list[Dim] = [1]
        for axis in reversed(self.axes[1:]):
            result.insert(0, result[0] * axis.count)
        return result

    @property
    def plane(self) -> Dim:
        """Elements of one phase of one channel."""
        return dims.prod(a.count for a in self.axes) + self.tail

    @property
    def _phases(self) -> Dim:
        return self.plane * math.prod(a.phases for a in self.axes)

    @property
    def clashes(self) -> bool:
        """Whether the same elements of many channels would share one set of a cache."""
        size = self._phases
        return isinstance(size, int) and size * self.buffer.dtype.itemsize % PAGE_BYTES == 0

    @property
    def channel(self) -> Dim:
        """Elements from one channel to the next."""
        size = self._phases
        return size + CACHE_LINE // self.buffer.dtype.itemsize if self.is_copy and self.clashes else size

    @property
    def size(self) -> Dim:
        return dims.prod(self.lead) * self.channel + self.behind

    def with_rows(self) -> Padded:
        """The same, with an axis of one row in front."""
        return replace(self, axes=(PaddedAxis(1, 0, 1), *self.axes))

    def channels(self, b: k.Expr, first: k.Expr) -> k.Expr:
        """The offset of channel ``first`` of an image."""
        return (b * size_expr(self.lead[1]) + first) * size_expr(self.channel)

    def offset(self, c: k.Expr, phases: list[k.Expr], positions: Sequence[k.Expr]) -> k.Expr:
        """The offset of an element from where channel 0 begins."""
        phase: k.Expr = k.const(0)
        for axis, f in zip(self.axes, phases):
            phase = phase * axis.phases + f
        result = c * size_expr(self.channel) + phase * size_expr(self.plane)
        for pitch, u in zip(self.pitches, positions):
            result = result + u * size_expr(pitch)
        return result


def padded_kernel(name: str, value: Value, to: Padded, puller: Puller, rows_given: bool = False) -> k.Kernel:
    """Fill ``to`` from ``value: [N, C, *S]``; its dtype is that of the copy.

    ``rows_given``: the copy has an axis of one row in front that the value lacks.
    """
    shape = value.type.shape  # type: ignore[union-attr]
    image = k.Var("image")
    dtype = to.buffer.dtype
    zero = k.const(0, dtype)
    last = to.axes[-1]
    base = image * size_expr(to.channel)

    def element(coordinates: list[k.Expr]) -> k.Expr:
        if rows_given:
            coordinates = coordinates[1:]
        index = Index(shape, [(2, image), *((1, c) for c in coordinates)])
        return k.cast(puller.pull(value, index), dtype)

    def row(at: k.Expr, phase: int, coordinates: list[k.Expr]) -> None:
        u = k.Var("u")
        if last.step != 1:
            puller.loop(u, last.extent, lambda: _spaced(u, at, phase, coordinates))
            return
        first, end = _reach(last, phase)
        length = end - first

        def copy() -> None:
            inner = (u + first) * last.stride + (phase - size_expr(last.low))
            puller.emit(k.Store(to.buffer, at + first + u, element([*coordinates, inner])))

        zeros(at, first)
        puller.loop(u, length, copy)
        zeros(at + end, last.extent - end)

    def _spaced(u: k.Var, at: k.Expr, phase: int, coordinates: list[k.Expr]) -> None:
        inside, inner = _inner(last, u * last.stride + phase)
        read = k.where(inside, element([*coordinates, k.where(inside, inner, 0)]), zero)
        puller.emit(k.Store(to.buffer, at + u, read))

    def zeros(at: k.Expr, count: k.Expr) -> None:
        if count != k.const(0):
            u = k.Var("u")
            puller.loop(u, count, lambda: puller.emit(k.Store(to.buffer, at + u, zero)))

    def rows(axis: int, at: k.Expr, coordinates: list[k.Expr], phases: tuple[int, ...]) -> None:
        if axis == len(to.axes) - 1:
            row(at, phases[axis], coordinates)
            return
        this = to.axes[axis]
        u = k.Var(f"u{axis}")
        pitch = size_expr(to.pitches[axis])

        def inner() -> None:
            inside, place = _inner(this, u * this.stride + phases[axis])
            here = at + u * pitch
            if inside == k.const(True, inside.dtype):
                rows(axis + 1, here, [*coordinates, place], phases)
                return
            then, _ = puller.nested(lambda: rows(axis + 1, here, [*coordinates, place], phases))
            orelse, _ = puller.nested(lambda: zeros(here, pitch))
            puller.emit(k.If(inside, then, orelse))

        puller.loop(u, this.extent, inner)

    def planes() -> None:
        for number, phases in enumerate(_phases(to.axes)):
            at = base + size_expr(to.plane) * number
            rows(0, at, [], phases)
            zeros(at + size_expr(to.plane - to.tail), k.const(to.tail))

    puller.loop(image, size_expr(dims.prod(to.lead)), planes, "parallel")
    zeros(size_expr(to.size - to.behind), k.const(to.behind))
    return finish(name, puller)


def _phases(axes: tuple[PaddedAxis, ...]) -> list[tuple[int, ...]]:
    result: list[tuple[int, ...]] = [()]
    for axis in axes:
        result = [(*phases, f) for phases in result for f in range(axis.phases)]
    return result


def _reach(axis: PaddedAxis, phase: int) -> tuple[k.Expr, k.Expr]:
    """The positions of a phase that hold elements of the value: first, and one past the last."""
    s = axis.stride
    first = dims.dim_max(dims.floordiv(axis.low - phase + s - 1, s), 0)
    end = dims.dim_min(dims.floordiv(axis.size + axis.low - phase + s - 1, s), axis.count)
    return size_expr(dims.dim_min(first, axis.count)), size_expr(dims.dim_max(end, dims.dim_min(first, axis.count)))


def _inner(axis: PaddedAxis, coordinate: k.Expr) -> tuple[k.Expr, k.Expr]:
    """Whether a padded coordinate holds an element of the value, and which."""
    place = coordinate - size_expr(axis.low)
    inside: k.Expr = k.const(True, (place >= 0).dtype)
    if axis.low != 0:
        inside = inside & (place >= 0)
    if axis.step != 1:
        inside = inside & (place % axis.step).eq(0)
        place = place // axis.step
    covers = isinstance(axis.count, int) and isinstance(axis.size, int) and isinstance(axis.low, int)
    if not covers or ((axis.count - 1) * axis.stride + axis.phases - 1 - axis.low) // axis.step >= axis.size:
        inside = inside & (place < size_expr(axis.size))
    return inside, place
