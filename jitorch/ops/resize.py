"""Resampling of grids: `interpolate` and what it is made of.  Every mode works axis by axis.

``scales`` are the scale factors the caller gave, or None where the ratio of the sizes counts; they
decide the output's size, so they are structural.  ``size`` is empty where they do: then what is made for one input's
size is right for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.dtypes import DType
from jitorch.errors import ArgumentError, ShapeError, UnsupportedError, ValueRangeError
from jitorch.ops.adaptive import adaptive_avg_pool
from jitorch.ops.conv import spread
from jitorch.ops.gather import take
from jitorch.ops.helpers import narrow_to, number_of, ramp, sum_over, widen
from jitorch.ops.linalg import matmul
from jitorch.ops.math import abs, floor, maximum, minimum, round_half_even, where
from jitorch.ops.normalize import is_number
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import broadcast_to, cast, copy, reshape_to, transpose_axes

Tensor = Any
Scales = tuple[Any, ...]


def _step(size: Dim, out: Dim, scale: float | None, align: bool) -> Any:
    """How far apart, in input elements, the samples of neighbouring outputs lie."""
    if align:
        if isinstance(out, int) and out == 1:
            return 0.0
        return _ratio(size - 1, out - 1)
    return 1.0 / scale if scale else _ratio(size, out)


def _ratio(a: Dim, b: Dim) -> Any:
    return number_of(a) / number_of(b)


def _each_axis(x: Tensor, size: Sequence[Dim], scales: Scales, along: Any) -> Tensor:
    lead = x.ndim - len(scales)
    size = size or tuple(_scaled(d, factor) for d, factor in zip(x.shape[lead:], scales, strict=True))
    for i in reversed(range(len(size))):
        x = along(x, lead + i, size[i], scales[i])
    return x


# ---- nearest ------------------------------------------------------------------------------------------
@op(places=())
def resize_nearest(input: Tensor, *, size: tuple[int, ...], scales: tuple[Any, ...], exact: bool) -> Tensor:
    """The nearest element; ``exact`` measures from the middle of the elements, else from their start."""
    out = _each_axis(input, size, scales, lambda x, axis, n, s: _nearest(x, axis, n, s, exact))
    return copy(input) if out is input else out


def _nearest(x: Tensor, axis: int, out: Dim, scale: float | None, exact: bool) -> Tensor:
    size = x.shape[axis]
    if dims.equal(out, size) and scale in (None, 1):
        return x
    times = _whole_factor(size, out, scale)
    if times:
        # A whole factor repeats elements: no index is needed, and the gradient is a plain sum.
        each = reshape_to(x, shape=(*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
        spread_ = broadcast_to(each, shape=(*x.shape[: axis + 1], times, *x.shape[axis + 1 :]))
        return reshape_to(copy(spread_), shape=(*x.shape[:axis], out, *x.shape[axis + 1 :]))
    # PyTorch computes the index in single precision, whatever the dtype.
    position = ramp(out, 0, 1, dtypes.float32)
    if exact:
        position = position + 0.5
    index = cast(floor(position * _step(size, out, scale, align=False)), dtype=dtypes.int64)
    return take(x, minimum(index, number_of(size - 1)), axis=axis)


def _whole_factor(size: Dim, out: Dim, scale: float | None) -> int:
    """How often each element is repeated, or 0 if not all are equally often."""
    times = scale or (out / size if isinstance(size, int) and isinstance(out, int) and size else 0)
    is_whole = times > 1 and times == int(times) and out == size * int(times) and out != 0
    return int(times) if is_whole else 0


@resize_nearest.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 4, 3)), size=(), scales=(2.0, 1.5), exact=False)
    yield Sample(rng.normal(size=(2, 4, 3)), size=(8, 3), scales=(None, None), exact=False)
    yield Sample(rng.normal(size=(2, 4, 3)), size=(3, 5), scales=(None, None), exact=True)
    yield Sample(rng.normal(size=(2, 4)), size=(7,), scales=(1.75,), exact=False)


# ---- linear and cubic ------------------------------------------------------------------------------------
@op(places=())
def resize_linear(input: Tensor, *, size: tuple[int, ...], scales: tuple[Any, ...], align: bool) -> Tensor:
    """The mean of the two neighbours along each axis, weighted by nearness."""
    x = _each_axis(_computed(input), size, scales, lambda x, axis, n, s: _linear(x, axis, n, s, align))
    return _rounded(x, input.dtype)


def _computed(x: Tensor) -> Tensor:
    return widen(x) if x.dtype.is_floating_point else cast(x, dtype=dtypes.float32)


def _rounded(x: Tensor, dtype: DType) -> Tensor:
    if dtype.is_floating_point:
        return narrow_to(x * 1.0, dtype)
    return cast(minimum(maximum(round_half_even(x), 0.0), 255.0), dtype=dtype)


def _positions(size: Dim, out: Dim, scale: float | None, align: bool, dtype: DType) -> Tensor:
    o = ramp(out, 0, 1, dtype)
    step = _step(size, out, scale, align)
    return o * step if align else (o + 0.5) * step - 0.5


def _laid(x: Tensor, axis: int, rank: int) -> Tensor:
    return reshape_to(x, shape=tuple(x.shape[0] if i == axis else 1 for i in range(rank)))


def _linear(x: Tensor, axis: int, out: Dim, scale: float | None, align: bool) -> Tensor:
    size = x.shape[axis]
    if dims.equal(size, out) and (align or scale in (None, 1)):
        return x
    position = maximum(_positions(size, out, scale, align, x.dtype), 0.0)
    below = minimum(cast(floor(position), dtype=dtypes.int64), number_of(size - 1))
    above = minimum(below + 1, number_of(size - 1))
    weight = _laid(minimum(maximum(position - cast(below, dtype=x.dtype), 0.0), 1.0), axis, x.ndim)
    return take(x, below, axis=axis) * (1.0 - weight) + take(x, above, axis=axis) * weight


@resize_linear.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 4)), size=(), scales=(1.5,), align=False)
    yield Sample(rng.normal(size=(2, 4, 3)), size=(7, 2), scales=(None, None), align=False)
    yield Sample(rng.normal(size=(2, 4)), size=(6,), scales=(None,), align=True)


@op(places=())
def resize_cubic(input: Tensor, *, size: tuple[int, ...], scales: tuple[Any, ...], align: bool) -> Tensor:
    """Cubic convolution of the four neighbours along each axis, a = -0.75.  Keys, 1981."""
    x = _each_axis(_computed(input), size, scales, lambda x, axis, n, s: _cubic(x, axis, n, s, align))
    return _rounded(x, input.dtype)


def cubic_weight(t: Tensor, a: float) -> Tensor:
    """Keys' kernel at distance ``t``: 1 at 0, 0 at 1 and from 2 on."""
    t = abs(t)
    near = ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    far = ((t - 5.0) * t + 8.0) * t * a - 4.0 * a
    return where(t <= 1.0, near, where(t < 2.0, far, 0.0))


def _cubic(x: Tensor, axis: int, out: Dim, scale: float | None, align: bool) -> Tensor:
    size = x.shape[axis]
    if dims.equal(size, out) and (align or scale in (None, 1)):
        return x
    position = _positions(size, out, scale, align, x.dtype)
    below = floor(position)
    total: Any = None
    for tap in (-1, 0, 1, 2):
        place = cast(below, dtype=dtypes.int64) + tap
        index = minimum(maximum(place, 0), number_of(size - 1))
        weight = _laid(cubic_weight(position - (below + float(tap)), -0.75), axis, x.ndim)
        term = take(x, index, axis=axis) * weight
        total = term if total is None else total + term
    return total


@resize_cubic.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 4, 3)), size=(7, 2), scales=(None, None), align=False)
    yield Sample(rng.normal(size=(2, 4)), size=(6,), scales=(None,), align=True)


@op(places=())
def resize_antialiased(
    input: Tensor, *, size: tuple[int, ...], scales: tuple[Any, ...], align: bool, cubic: bool
) -> Tensor:
    """Linear or cubic (a = -0.5) resampling whose kernel widens when the grid shrinks, as Pillow does it."""
    x = _each_axis(_computed(input), size, scales, lambda x, axis, n, s: _antialiased(x, axis, n, s, align, cubic))
    return _rounded(x, input.dtype)


def _antialiased(x: Tensor, axis: int, out: Dim, scale: float | None, align: bool, cubic: bool) -> Tensor:
    size = x.shape[axis]
    step = _step(size, out, scale, align)
    width = maximum(step, 1.0)
    centre = (ramp(out, 0, 2, x.dtype) + 0.5) * step
    support = (2.0 if cubic else 1.0) * width
    position = ramp(size, 1, 2, x.dtype)
    first = maximum(floor(centre - support + 0.5), 0.0)
    inside = (position >= first) & (position < floor(centre + support + 0.5))
    distance = (position + 0.5 - centre) / width
    kernel = cubic_weight(distance, -0.5) if cubic else maximum(1.0 - abs(distance), 0.0)
    weights = where(inside, kernel, 0.0)
    weights = weights / sum_over(weights, (1,))
    perm = tuple(i for i in range(x.ndim) if i != axis)
    moved = matmul(transpose_axes(x, perm=(*perm, axis)), transpose_axes(weights, perm=(1, 0)))
    return transpose_axes(moved, perm=(*range(axis), x.ndim - 1, *range(axis, x.ndim - 1)))


@resize_antialiased.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 7, 6)), size=(3, 4), scales=(None, None), align=False, cubic=False)
    yield Sample(rng.normal(size=(2, 7, 6)), size=(3, 8), scales=(None, None), align=False, cubic=True)


# ---- the public name -------------------------------------------------------------------------------------
_RANKS = {
    "nearest": (3, 4, 5), "nearest-exact": (3, 4, 5), "area": (3, 4, 5), "linear": (3,), "bilinear": (4,),
    "bicubic": (4,), "trilinear": (5,),
}  # fmt: skip


def _scaled(size: Dim, factor: float) -> Dim:
    """``floor(size * factor)``."""
    if isinstance(size, int):
        return int(float(size) * float(factor))
    ratio = Fraction(factor).limit_denominator(4096)
    return dims.floordiv(size * ratio.numerator, ratio.denominator)


def _target(input: Tensor, size: Any, scale_factor: Any, recompute: bool | None) -> tuple[tuple[Any, ...], Scales]:
    n = input.ndim - 2
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate: give either size or scale_factor")
    if size is not None:
        if recompute:
            raise ValueRangeError("interpolate: recompute_scale_factor needs scale_factor", actual=f"size={size}")
        return spread("interpolate", size if isinstance(size, int) else tuple(size), n), (None,) * n
    factors = (scale_factor,) * n if is_number(scale_factor) else tuple(scale_factor)
    factors = tuple(map(float, factors))
    if len(factors) != n:
        raise ShapeError(f"interpolate: one scale factor for each of {n} axes", actual=factors)
    found = tuple(_scaled(d, f) for d, f in zip(input.shape[2:], factors))
    return found, (None,) * n if recompute else factors


@function(places=("nn",))
def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resample ``[N, C, *S]`` to ``[N, C, *size]``, or by ``scale_factor``.

    ``mode``: nearest, nearest-exact, area, linear (3 axes), bilinear, bicubic (4) or trilinear (5).
    ``align_corners`` lets the corner elements of input and output coincide.
    """
    if mode not in _RANKS:
        raise UnsupportedError(f"interpolate: unknown mode {mode!r}", hint=f"the modes are {', '.join(_RANKS)}")
    if input.ndim not in _RANKS[mode]:
        raise UnsupportedError(
            f"interpolate: mode {mode!r} takes {' or '.join(map(str, _RANKS[mode]))} axes", hint=f"got {input.type}"
        )
    linear = mode not in ("nearest", "nearest-exact", "area")
    if align_corners is not None and not linear:
        raise ValueRangeError(f"interpolate: mode {mode!r} has no align_corners", actual=align_corners)
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueRangeError("interpolate: antialias is for bilinear and bicubic", actual=mode)
    sizes, scales = _target(input, size, scale_factor, recompute_scale_factor)
    if not all(dims.holds("<", 0, d) for d in (*sizes, *input.shape[2:])):
        raise ValueRangeError(
            "interpolate: sizes must be positive", expected="greater than 0", actual=f"{input.type} to {sizes}"
        )
    align = bool(align_corners)
    if mode == "area":
        return adaptive_avg_pool(input, size=sizes)
    if all(factor is not None and (factor * 64).is_integer() for factor in scales):
        sizes = ()  # as the product with such a factor is exact, it is the same for a size that is a symbol
    if not linear:
        return resize_nearest(input, size=sizes, scales=scales, exact=mode == "nearest-exact")
    if antialias:
        return resize_antialiased(input, size=sizes, scales=scales, align=align, cubic=mode == "bicubic")
    resize = resize_cubic if mode == "bicubic" else resize_linear
    return resize(input, size=sizes, scales=scales, align=align)


@interpolate.samples
def _(rng):
    yield Sample(rng.normal(size=(1, 2, 4)), size=7)
    yield Sample(rng.normal(size=(1, 2, 4, 3)), scale_factor=2, mode="nearest-exact")
    yield Sample(rng.normal(size=(1, 2, 4, 3)), scale_factor=(1.5, 2.0), mode="bilinear")
    yield Sample(rng.normal(size=(1, 2, 4, 3)), size=(5, 6), mode="bicubic", align_corners=True)
    yield Sample(rng.normal(size=(1, 2, 5, 4)), size=(2, 3), mode="area")
    yield Sample(rng.normal(size=(1, 1, 2, 3, 2)), size=(3, 2, 4), mode="trilinear")


@function(places=("nn",))
def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """The older name of `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


@function(places=("nn",))
def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode nearest."""
    return interpolate(input, size, scale_factor, "nearest")


@function(places=("nn",))
def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode bilinear and aligned corners."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


for _entry in (upsample, upsample_nearest, upsample_bilinear):

    @_entry.samples
    def _(rng):
        yield Sample(rng.normal(size=(1, 2, 4, 3)), scale_factor=2)
