"""Numerical gradients, histograms, and names that are simple for real tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch import dims, dtypes
from jitorch.errors import ArgumentError, DTypeError, ShapeError, ValueRangeError
from jitorch.ops.gather import put
from jitorch.ops.helpers import axes_of, filled, float_dtype, narrow_to, ramp
from jitorch.ops.math import where
from jitorch.ops.normalize import broadcast_shapes
from jitorch.ops.padding import part
from jitorch.ops.parts import diagonal
from jitorch.ops.reduce import reduce_max, reduce_min
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.results import result_type
from jitorch.ops.search import search_sorted
from jitorch.ops.structure import cast, concatenate, reduce_sum, reshape_to

Tensor = Any


# ---- numerical gradient ---------------------------------------------------------------------------------------
@op(name="gradient", places=())
def gradient_op(x: Tensor, steps: Tensor, *, axis: int, order: int) -> Tensor:
    """Second-order differences along ``axis``, whose elements are ``steps`` apart; at the ends those of ``order``."""
    size = x.shape[axis]
    h = reshape_to(steps, shape=tuple(size - 1 if i == axis else 1 for i in range(x.ndim)))
    rise = part(x, axis, 1, size) - part(x, axis, 0, size - 1)
    slope = rise / h
    h1, h2 = part(h, axis, 0, size - 2), part(h, axis, 1, size - 1)
    s1, s2 = part(slope, axis, 0, size - 2), part(slope, axis, 1, size - 1)
    inner = (h2 * s1 + h1 * s2) / (h1 + h2)
    first, last = part(slope, axis, 0, 1), part(slope, axis, size - 2, size - 1)
    if order == 2:
        a, b = part(h, axis, 0, 1), part(h, axis, 1, 2)
        first = first + (first - part(slope, axis, 1, 2)) * a / (a + b)
        a, b = part(h, axis, size - 2, size - 1), part(h, axis, size - 3, size - 2)
        last = last + (last - part(slope, axis, size - 3, size - 2)) * a / (a + b)
    return concatenate([first, inner, last], axis=axis)


@gradient_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5)), rng.uniform(0.5, 2, size=(4,)), axis=1, order=1)
    yield Sample(rng.normal(size=(4, 2)), rng.uniform(0.5, 2, size=(3,)), axis=0, order=2)


@function(places=("torch",))
def gradient(input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Numerical derivatives along each of ``dim``; ``spacing``: a distance, one for each axis, or coordinates."""
    axes = axes_of("gradient", dim, input.ndim)
    if edge_order not in (1, 2):
        raise ValueRangeError("gradient: edge_order is 1 or 2", actual=edge_order)
    spacing = 1 if spacing is None else spacing
    spacings = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(axes)
    if len(spacings) != len(axes):
        raise ArgumentError("gradient: one spacing for each axis", expected=len(axes), actual=len(spacings))
    x = narrow_to(input, float_dtype(input))
    results = []
    for axis, distance in zip(axes, spacings):
        size = x.shape[axis]
        if dims.less(size, edge_order + 1):
            raise ShapeError("gradient: an axis is too short", expected=f"{edge_order + 1} elements", actual=input.type)
        if getattr(distance, "ndim", 0) == 1:
            count = distance.shape[0]
            steps = narrow_to(part(distance, 0, 1, count) - part(distance, 0, 0, count - 1), x.dtype)
        else:
            steps = filled(1, x.dtype, (size - 1,)) * distance
        results.append(gradient_op(x, steps, axis=axis, order=edge_order))
    return tuple(results)


@gradient.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 5)))
    yield Sample(rng.normal(size=(4, 5)), spacing=2.0, dim=1, edge_order=2)
    yield Sample(rng.normal(size=(4, 3)), spacing=[0.5, 2.0])


# ---- histogram -----------------------------------------------------------------------------------------------
Histogram = result_type("histogram", "hist", "bin_edges")


@function
def histogram(
    input: Tensor, bins: Any, *, range: Sequence[float] | None = None, weight: Tensor | None = None,
    density: bool = False,
) -> Any:  # fmt: skip
    """Counts (or sums of ``weight``, or a ``density``) of the elements between neighbouring edges, and the edges.

    ``bins`` is the number of equal parts of ``range`` (by default that of the data), or the edges.
    """
    if not input.dtype.is_floating_point:
        raise DTypeError("histogram: needs a floating point tensor", actual=input.type)
    flat = reshape_to(input, shape=(input.numel(),))
    edges = bins if hasattr(bins, "ndim") else _edges(flat, bins, range)
    count = edges.shape[0] - 1
    weights = filled(1, input.dtype, flat.shape) if weight is None else reshape_to(weight, shape=tuple(flat.shape))
    place = search_sorted(edges, flat, right=True, dtype=dtypes.int64) - 1
    last = flat == part(edges, 0, count, count + 1)
    place = where(last, place - 1, place)
    inside = (place >= 0) & (place < count)
    counted = where(inside, weights, 0.0)
    hist = put(filled(0, input.dtype, (count,)), where(inside, place, 0), counted, axis=0, accumulate=True)
    if density:
        widths = part(edges, 0, 1, count + 1) - part(edges, 0, 0, count)
        hist = hist / widths / reduce_sum(counted, axes=(0,))
    return Histogram(hist, edges)


def _edges(flat: Tensor, bins: int, limits: Sequence[float] | None) -> Tensor:
    if bins <= 0:
        raise ValueRangeError("histogram: bins must be positive", expected="bins > 0", actual=bins)
    if limits is None and dims.equal(flat.shape[0], 0):
        limits = (0.0, 1.0)
    if limits is not None:
        low, high = limits
        if low > high:
            raise ValueRangeError("histogram: the range is reversed", actual=tuple(limits))
        low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    else:
        low, high = reduce_min(flat, axes=(0,)), reduce_max(flat, axes=(0,))
        equal = low == high
        low, high = where(equal, low - 0.5, low), where(equal, high + 0.5, high)
    turn = ramp(bins + 1, 0, 1, flat.dtype)
    step = (high - low) / bins
    # From the nearer end, so that both ends are exact.
    return where(turn < bins / 2, low + turn * step, high - (bins - turn) * step)


@histogram.samples
def _(rng):
    yield Sample(rng.normal(size=(20,)), 5, grad=False)
    yield Sample(rng.normal(size=(4, 5)), 4, range=(-1.0, 1.0), density=True, grad=False)
    yield Sample(rng.normal(size=(9,)), 4, weight=rng.uniform(size=(9,)), grad=False)


# ---- names of linear algebra ------------------------------------------------------------------------------------
@function(places=("linalg",), name="diagonal")
def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices, a view."""
    return diagonal(A, offset, dim1, dim2)


@linalg_diagonal.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), offset=1)


@function(places=("linalg",), name="vander")
def linalg_vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Powers 0 to ``N - 1`` (by default as many as elements) along a new last axis."""
    if N is not None and N < 2:
        raise ValueRangeError("linalg.vander: N must be more than 1", expected="N > 1", actual=N)
    x = x if x.ndim else reshape_to(x, shape=(1,))
    count = x.shape[-1] if N is None else N
    base = reshape_to(x, shape=(*x.shape, 1))
    powers = ramp(count, x.ndim, x.ndim + 1)
    return base ** (powers if not x.dtype.is_floating_point else cast(powers, dtype=x.dtype))


@linalg_vander.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)))
    yield Sample(rng.uniform(1, 2, size=(3,)), N=4)


@function(places=("method",))
def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """Sums over the axes that broadcasting from ``size`` would add or repeat."""
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    if broadcast_shapes("sum_to_size", [tuple(input.shape), shape]) != tuple(input.shape):
        raise ShapeError("sum_to_size: the size does not broadcast to the tensor", expected=input.type, actual=shape)
    lead = input.ndim - len(shape)
    repeated = [lead + i for i, d in enumerate(shape) if not dims.equal(d, input.shape[lead + i])]
    axes = (*range(lead), *repeated)
    if not axes:
        return input
    x = input if input.dtype.category >= dtypes.Category.FLOAT else cast(input, dtype=dtypes.int64)
    return reshape_to(reduce_sum(x, axes=axes), shape=shape)


@sum_to_size.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), (3, 1))
    yield Sample(rng.normal(size=(2, 3)), 2, 3)
