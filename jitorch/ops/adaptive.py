"""Adaptive pooling: the output's size is given, the windows follow from it.

Window ``o`` of an axis covers ``floor(o * size / out)`` up to ``ceil((o + 1) * size / out)``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jitorch import dims
from jitorch.dims import Dim
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.ops.create import constant
from jitorch.ops.gather import gather_axis, scatter_axis, take
from jitorch.ops.helpers import narrow_to, number_of, ramp, require_float, require_rank, sum_over, widen
from jitorch.ops.linalg import matmul
from jitorch.ops.math import maximum, minimum, where
from jitorch.ops.pooling import avg_pool
from jitorch.ops.reduce import lowest, reduce_argmax, reduce_max
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import broadcast_to, cast, reduce_sum, reshape_to, transpose_axes

Tensor = Any

NN = ("nn",)


def _window_limits(size: Dim, out: int) -> tuple[Tensor, Tensor]:
    """First element and end of each window, as columns ``[out, 1]``."""
    o, n = ramp(out, 0, 2), number_of(size)
    return (o * n) // out, ((o + 1) * n + (out - 1)) // out


def _inside(size: Dim, out: int) -> Tensor:
    """``[out, size]``: which elements each window covers."""
    start, stop = _window_limits(size, out)
    position = ramp(size, 1, 2)
    return (position >= start) & (position < stop)


class _Windows(NamedTuple):
    """The windows of an axis: their ``elements``, ``[*, out, most, *]``, of which they cover those ``inside``.

    ``first`` is where the elements begin, ``start`` where the window does, ``count`` how many it covers: ``[out, *]``.
    """

    elements: Tensor
    inside: Tensor
    first: Tensor
    start: Tensor
    count: Tensor


def _windows(x: Tensor, axis: int, out: int) -> _Windows:
    """Windows differ by an element in length; so each is shown with as many elements of the axis, side by side."""
    size, rest = x.shape[axis], (1,) * (x.ndim - axis - 1)
    start, stop = _window_limits(size, out)
    most = dims.floordiv(size + out - 1, out) + (0 if dims.is_multiple(size, out) else 1)
    # One that is as long as the axis may be an element shorter than that.
    most = dims.dim_min(most, size)
    first = minimum(start, number_of(size - most))
    position = first + ramp(most, 1, 2)
    inside = (position >= start) & (position < stop)
    return _Windows(
        take(x, position, axis=axis), reshape_to(inside, shape=(out, most, *rest)),
        *(reshape_to(column, shape=(out, *rest)) for column in (first, start, stop - start)),
    )  # fmt: skip


@op(places=())
def average_windows(x: Tensor, *, axis: int, size: int) -> Tensor:
    """The mean of each of ``size`` windows along ``axis``."""
    seen = _windows(x, axis, size)
    total = reduce_sum(where(seen.inside, seen.elements, 0.0), axes=(axis + 1,))
    return total / cast(seen.count, dtype=x.dtype)


@average_windows.vjp
def _(g, out, x, *, axis, size):
    # By a matrix whose columns hold the windows' weights.
    start, stop = _window_limits(x.shape[axis], size)
    weights = cast(_inside(x.shape[axis], size), dtype=g.dtype) / cast(stop - start, dtype=g.dtype)
    perm = tuple(i for i in range(g.ndim) if i != axis)
    spread = matmul(transpose_axes(g, perm=(*perm, axis)), weights)
    return (transpose_axes(spread, perm=(*range(axis), g.ndim - 1, *range(axis, g.ndim - 1))),)


@average_windows.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5, 3)), axis=1, size=3)
    yield Sample(rng.normal(size=(2, 3)), axis=1, size=5)


@op(places=())
def adaptive_avg_pool(input: Tensor, *, size: tuple[int, ...]) -> Tensor:
    """The mean of each window of the last axes."""
    n = len(size)
    lead = input.ndim - n
    spatial = input.shape[lead:]
    if all(isinstance(d, int) and d > 0 and d % o == 0 for d, o in zip(spatial, size)) and 1 not in size:
        kernel = tuple(d // o for d, o in zip(spatial, size))
        return avg_pool(
            input, kernel=kernel, stride=kernel, padding=(0,) * n, ceil_mode=False, count_include_pad=True, divisor=None
        )
    x = widen(input)
    whole = tuple(lead + i for i, out in enumerate(size) if isinstance(out, int) and out == 1)
    if whole:
        count = dims.prod(tuple(input.shape[axis] for axis in whole))
        x = sum_over(x, whole) * (1.0 / number_of(count))
    for i, out in enumerate(size):
        if lead + i not in whole and not dims.equal(spatial[i], out):
            x = average_windows(x, axis=lead + i, size=out)
    return narrow_to(x * 1.0, input.dtype)


@adaptive_avg_pool.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5, 6)), size=(3, 2))
    yield Sample(rng.normal(size=(2, 4, 6)), size=(2, 3))
    yield Sample(rng.normal(size=(2, 5, 6)), size=(1, 1))
    yield Sample(rng.normal(size=(2, 3)), size=(5,))


@op(places=())
def adaptive_max_indices(input: Tensor, *, size: tuple[int, ...]) -> Tensor:
    """The row-major place, in the last axes, of the first greatest element of each window."""
    lead = input.ndim - len(size)
    x = input
    place: Any = None
    # Axis by axis from the last: the rows' winners compete, so the first in row-major order stays ahead.
    for i in reversed(range(len(size))):
        axis = lead + i
        winner = _winners(x, axis, size[i])
        x = gather_axis(x, winner, axis=axis)
        stride = number_of(dims.prod(input.shape[axis + 1 :]))
        place = winner * stride if place is None else winner * stride + gather_axis(place, winner, axis=axis)
    return place


def _winners(x: Tensor, axis: int, out: int) -> Tensor:
    """The position along ``axis`` of the first greatest element of each window."""
    seen = _windows(x, axis, out)
    found = reduce_argmax(where(seen.inside, seen.elements, lowest(x.dtype)), axes=(axis + 1,))
    # Where all is as low as what is not inside, the first is the window's.
    return maximum(seen.first + found, seen.start)


@adaptive_max_indices.vjp
def _(g, out, input, *, size):
    return (None,)


@adaptive_max_indices.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5, 6)), size=(3, 2))


@op(places=())
def adaptive_max_pool(input: Tensor, *, size: tuple[int, ...]) -> Tensor:
    """The greatest element of each window of the last axes; the gradient goes to the first of equal ones."""
    lead = input.ndim - len(size)
    x = input
    for i, out in enumerate(size):
        seen = _windows(x, lead + i, out)
        x = reduce_max(where(seen.inside, seen.elements, lowest(x.dtype)), axes=(lead + i + 1,))
    return x


@adaptive_max_pool.vjp
def _(g, out, input, *, size):
    flat, places = _flattened(input, adaptive_max_indices(input, size=size), len(size))
    zeros = broadcast_to(constant(value=0, dtype=g.dtype), shape=tuple(flat.shape))
    total = scatter_axis(zeros, places, reshape_to(g, shape=tuple(places.shape)), axis=flat.ndim - 1, accumulate=True)
    return (reshape_to(total, shape=tuple(input.shape)),)


def _flattened(x: Tensor, places: Tensor, n: int) -> tuple[Tensor, Tensor]:
    lead = tuple(x.shape[: x.ndim - n])
    return (
        reshape_to(x, shape=(*lead, dims.prod(x.shape[x.ndim - n :]))),
        reshape_to(places, shape=(*lead, dims.prod(places.shape[x.ndim - n :]))),
    )


@adaptive_max_pool.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5, 6)), size=(3, 2))
    yield Sample(rng.normal(size=(2, 3)), size=(5,))


def _output_size(name: str, n: int, input: Tensor, output_size: Any) -> tuple[Any, ...]:
    require_rank(name, input, n + 1, n + 2)
    spatial = tuple(input.shape[input.ndim - n :])
    given = (output_size,) * n if isinstance(output_size, int) or output_size is None else tuple(output_size)
    if len(given) == 1:
        given = given * n
    if len(given) != n:
        raise ShapeError(f"{name}: one output size for each of {n} axes", actual=given)
    size = tuple(d if o is None else o for o, d in zip(given, spatial))
    if any(isinstance(o, int) and o < 0 for o in size):
        raise ValueRangeError(f"{name}: the output size must not be negative", actual=size)
    return size


def _adaptive_avg(name: str, n: int, input: Tensor, output_size: Any) -> Tensor:
    require_float(name, input)
    return adaptive_avg_pool(input, size=_output_size(name, n, input, output_size))


def _adaptive_max(name: str, n: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    require_float(name, input)
    size = _output_size(name, n, input, output_size)
    out = adaptive_max_pool(input, size=size)
    return (out, adaptive_max_indices(input, size=size)) if return_indices else out


@function(places=("torch", "nn"))
def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means over ``output_size`` windows: ``[*, C, L]`` to ``[*, C, output_size]``."""
    return _adaptive_avg("adaptive_avg_pool1d", 1, input, output_size)


@function(places=NN)
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means over windows: ``[*, C, H, W]`` to ``[*, C, *output_size]``; None keeps an axis."""
    return _adaptive_avg("adaptive_avg_pool2d", 2, input, output_size)


@function(places=NN)
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means over windows: ``[*, C, D, H, W]`` to ``[*, C, *output_size]``; None keeps an axis."""
    return _adaptive_avg("adaptive_avg_pool3d", 3, input, output_size)


@function(places=NN)
def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Greatest elements of ``output_size`` windows: ``[*, C, L]`` to ``[*, C, output_size]``."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


@function(places=NN)
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Greatest elements of windows: ``[*, C, H, W]`` to ``[*, C, *output_size]``; None keeps an axis."""
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


@function(places=NN)
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Greatest elements of windows: ``[*, C, D, H, W]`` to ``[*, C, *output_size]``; None keeps an axis."""
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


@function(name="adaptive_max_pool1d", places=("torch",))
def torch_adaptive_max_pool1d(input: Tensor, output_size: Any) -> Any:
    """Greatest elements of ``output_size`` windows, and their places."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, True)


for _n, _entries in enumerate(
    (
        (adaptive_avg_pool1d, adaptive_max_pool1d),
        (adaptive_avg_pool2d, adaptive_max_pool2d),
        (adaptive_avg_pool3d, adaptive_max_pool3d),
    ),
    1,
):
    for _entry in _entries:

        @_entry.samples
        def _(rng, n=_n):
            yield Sample(rng.normal(size=(2, 3, *(5, 6, 4)[:n])), (3, 2, 1)[:n])
            yield Sample(rng.normal(size=(2, *(4, 6, 4)[:n])), 2)


@torch_adaptive_max_pool1d.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 5)), 3)
