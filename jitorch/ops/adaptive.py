"""Adaptive pooling: the output's size is given, the windows follow from it.

Window ``o`` of an axis covers ``floor(o * size / out)`` up to ``ceil((o + 1) * size / out)``.
"""

from __future__ import annotations

from typing import Any

from jitorch import dims
from jitorch.dims import Dim
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.ops.gather import gather_axis
from jitorch.ops.helpers import narrow_to, number_of, ramp, require_float, require_rank, sum_over, widen
from jitorch.ops.linalg import matmul
from jitorch.ops.math import where
from jitorch.ops.pooling import avg_pool
from jitorch.ops.reduce import lowest, reduce_argmax
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import cast, reshape_to, transpose_axes

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


def _averaged(x: Tensor, axis: int, out: int) -> Tensor:
    """Means along ``axis``, by a matrix whose rows hold the windows' weights."""
    size = x.shape[axis]
    if dims.equal(size, out):
        return x
    if out == 1:
        return sum_over(x, (axis,)) * (1.0 / number_of(size))
    start, stop = _window_limits(size, out)
    weights = cast(_inside(size, out), dtype=x.dtype) / cast(stop - start, dtype=x.dtype)
    perm = tuple(i for i in range(x.ndim) if i != axis)
    moved = matmul(transpose_axes(x, perm=(*perm, axis)), transpose_axes(weights, perm=(1, 0)))
    return transpose_axes(moved, perm=(*range(axis), x.ndim - 1, *range(axis, x.ndim - 1)))


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
    for i, out in enumerate(size):
        x = _averaged(x, lead + i, out)
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
    rest = x.ndim - axis - 1
    size = x.shape[axis]
    inside = reshape_to(_inside(size, out), shape=(out, size, *(1,) * rest))
    each = reshape_to(x, shape=(*x.shape[:axis], 1, *x.shape[axis:]))
    return reduce_argmax(where(inside, each, lowest(x.dtype)), axes=(axis + 1,))


@adaptive_max_indices.vjp
def _(g, out, input, *, size):
    return (None,)


@adaptive_max_indices.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5, 6)), size=(3, 2))


@op(places=())
def adaptive_max_pool(input: Tensor, *, size: tuple[int, ...]) -> Tensor:
    """The greatest element of each window of the last axes; the gradient goes to the first of equal ones."""
    flat, places = _flattened(input, adaptive_max_indices(input, size=size), len(size))
    picked = gather_axis(flat, places, axis=flat.ndim - 1)
    return reshape_to(picked, shape=(*input.shape[: input.ndim - len(size)], *size))


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
