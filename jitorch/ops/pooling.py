"""Pooling: windows of the last axes, reduced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.ops.batching import leading, register
from jitorch.ops.conv import spread
from jitorch.ops.create import constant
from jitorch.ops.helpers import narrow_to, number_of, ramp, require_rank, require_real, widen
from jitorch.ops.math import maximum, minimum, trunc_divide, where
from jitorch.ops.reduce import lowest, reduce_argmax, reduce_max
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.sliding import unwindow, windows
from jitorch.ops.structure import cast, pad_axes, reduce_sum, reshape_to, slice_axes, transpose_axes

Tensor = Any
Sizes = tuple[int, ...]

NN = ("nn",)


# ---- geometry ---------------------------------------------------------------------------------------
def _geometry(
    name: str, n: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1
) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    """Kernel, stride, padding and dilation, one number an axis, checked."""
    require_rank(name, input, n + 1, n + 2)
    lead = 1 if input.ndim == n + 2 else 0
    if not all(dims.holds("<", 0, d) for d in input.shape[lead:]):
        raise ShapeError(f"{name}: only the batch may be empty", expected="positive sizes", actual=input.type)
    kernel = spread(name, kernel_size, n)
    strides = kernel if stride is None or stride == [] or stride == () else spread(name, stride, n)
    pads, dilations = spread(name, padding, n), spread(name, dilation, n)
    if any(v <= 0 for v in (*kernel, *strides, *dilations)):
        raise ValueRangeError(
            f"{name}: kernel size, stride and dilation must be positive", actual=(kernel, strides, dilations)
        )
    if any(p < 0 or 2 * p > d * (k - 1) + 1 for p, k, d in zip(pads, kernel, dilations)):
        raise ValueRangeError(
            f"{name}: padding is at most half of the kernel", expected=f"0 to half of {kernel}", actual=pads
        )
    return kernel, strides, pads, dilations


def _extra(size: Dim, kernel: int, stride: int, pad: int, dilation: int, ceil_mode: bool) -> Dim:
    """Elements that ceil_mode adds behind an axis: a last window may begin inside of the input or its front padding."""
    if not ceil_mode:
        return 0
    reach = dilation * (kernel - 1) + 1
    over = size + 2 * pad - reach
    count = dims.floordiv(over + stride - 1, stride) + 1
    if dims.less_equal(size + pad, (count - 1) * stride):
        count = count - 1
    return dims.dim_max((count - 1) * stride - over, 0)


def _padded(x: Tensor, value: Any, low: Sequence[Dim], high: Sequence[Dim]) -> Tensor:
    if all(isinstance(p, int) and p == 0 for p in (*low, *high)):
        return x
    lead = x.ndim - len(low)
    return pad_axes(
        x, constant(value=value, dtype=x.dtype), low=(*(0,) * lead, *low), high=(*(0,) * lead, *high),
        interior=(0,) * x.ndim,
    )  # fmt: skip


def _pool_windows(
    x: Tensor, value: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Tensor:
    """``[*, *S]`` padded with ``value``, as ``[*, *positions, *kernel]``."""
    spatial = x.shape[x.ndim - len(kernel) :]
    high = [p + _extra(d, k, s, p, e, ceil_mode) for d, k, s, p, e in zip(spatial, kernel, stride, padding, dilation)]
    return windows(_padded(x, value, padding, high), sizes=kernel, strides=stride, dilations=dilation)


def _inner(seen: Tensor, n: int) -> Sizes:
    return tuple(range(seen.ndim - n, seen.ndim))


# ---- max ----------------------------------------------------------------------------------------------
@op(places=())
def max_pool(
    input: Tensor, *, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...],
    dilation: tuple[int, ...], ceil_mode: bool,
) -> Tensor:  # fmt: skip
    """The greatest element of each window of the last axes; the gradient goes to the first of equal ones."""
    seen = _pool_windows(input, lowest(input.dtype), kernel, stride, padding, dilation, ceil_mode)
    return reduce_max(seen, axes=_inner(seen, len(kernel)))


@max_pool.vjp
def _(g, out, input, *, kernel, stride, padding, dilation, ceil_mode):
    n = len(kernel)
    seen = _pool_windows(input, lowest(input.dtype), kernel, stride, padding, dilation, ceil_mode)
    first = reduce_argmax(seen, axes=_inner(seen, n))
    once = (*g.shape, *(1,) * n)
    number = reshape_to(ramp(math.prod(kernel), 0, 1), shape=kernel)
    if math.prod(kernel) <= 256:
        # The backward pass keeps it: a byte an element.
        first, number = cast(first, dtype=dtypes.uint8), cast(number, dtype=dtypes.uint8)
    chosen = where(reshape_to(first, shape=once) == number, reshape_to(g, shape=once), 0.0)
    return (_windows_adjoint(chosen, input, kernel, stride, padding, dilation, ceil_mode),)


def _windows_adjoint(
    g: Tensor, input: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Tensor:
    """Send what each window's elements get back to the elements of ``input``."""
    n = len(kernel)
    lead = input.ndim - n
    spatial = tuple(input.shape[lead:])
    low = padding
    high = [p + _extra(d, k, s, p, e, ceil_mode) for d, k, s, p, e in zip(spatial, kernel, stride, padding, dilation)]
    padded = tuple(a + d + b for a, d, b in zip(low, spatial, high))
    if kernel == stride and all(e == 1 for e in dilation):
        total = _tiled(g, padded, kernel)
    else:
        spread_out = unwindow(g, spatial=padded, strides=stride, dilations=dilation)
        total = reduce_sum(spread_out, axes=tuple(range(input.ndim, input.ndim + n)))
    return slice_axes(
        total, starts=(*(0,) * lead, *low), stops=(*input.shape[:lead], *(a + d for a, d in zip(low, spatial))),
        steps=(1,) * input.ndim,
    )  # fmt: skip


def _tiled(g: Tensor, spatial: tuple[Dim, ...], kernel: Sizes) -> Tensor:
    """Windows side by side, ``[*, *positions, *kernel]``, put where they stand, and zeros behind the last."""
    n = len(kernel)
    lead = g.ndim - 2 * n
    perm = (*range(lead), *(lead + i + half * n for i in range(n) for half in (0, 1)))
    covered = tuple(p * size for p, size in zip(g.shape[lead : lead + n], kernel))
    joined = reshape_to(transpose_axes(g, perm=perm), shape=(*g.shape[:lead], *covered))
    return _padded(joined, 0, (0,) * n, tuple(d - c for d, c in zip(spatial, covered)))


@op(places=())
def max_pool_indices(
    input: Tensor, *, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...],
    dilation: tuple[int, ...], ceil_mode: bool,
) -> Tensor:  # fmt: skip
    """The row-major place, in the last axes of ``input``, of the first greatest element of each window."""
    n = len(kernel)
    seen = _pool_windows(input, lowest(input.dtype), kernel, stride, padding, dilation, ceil_mode)
    rest = reduce_argmax(seen, axes=_inner(seen, n))
    place: Any = None
    offsets: list[Tensor] = []
    for k in reversed(kernel):
        offsets.append(rest % k)
        rest = rest // k
    for i, offset in enumerate(reversed(offsets)):
        axis = input.ndim - n + i
        start = ramp(offset.shape[axis], axis, offset.ndim) * stride[i] - padding[i]
        # A window of nothing but -inf would name its padding.
        at = maximum(start + offset * dilation[i], 0)
        place = at if place is None else place * number_of(input.shape[axis]) + at
    return place


@max_pool_indices.vjp
def _(g, out, input, **attrs):
    return (None,)


def _max_samples(rng: Any) -> Any:
    yield Sample(
        rng.normal(size=(2, 5, 6)), kernel=(2, 3), stride=(2, 1), padding=(1, 1), dilation=(1, 2), ceil_mode=True
    )
    yield Sample(rng.normal(size=(1, 2, 7)), kernel=(3,), stride=(2,), padding=(0,), dilation=(1,), ceil_mode=False)


max_pool.samples(_max_samples)
max_pool_indices.samples(_max_samples)


def _max_pool(
    name: str, n: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    return_indices: bool,
) -> Any:  # fmt: skip
    kernel, strides, pads, dilations = _geometry(name, n, input, kernel_size, stride, padding, dilation)
    require_real(name, input)
    attrs: dict[str, Any] = {
        "kernel": kernel, "stride": strides, "padding": pads, "dilation": dilations, "ceil_mode": bool(ceil_mode),
    }  # fmt: skip
    out = max_pool(input, **attrs)
    return (out, max_pool_indices(input, **attrs)) if return_indices else out


@function(places=("torch", "nn"))
def max_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Greatest elements of windows: ``[*, C, L]`` to ``[*, C, L']``; with ``return_indices`` also their places."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@function(places=("torch", "nn"))
def max_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Greatest elements of windows: ``[*, C, H, W]`` to ``[*, C, H', W']``; ``return_indices`` adds their places."""
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@function(places=("torch", "nn"))
def max_pool3d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Greatest elements of windows: ``[*, C, D, H, W]`` to ``[*, C, D', H', W']``."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


for _n, _entry in enumerate((max_pool1d, max_pool2d, max_pool3d), 1):

    @_entry.samples
    def _(rng, n=_n):
        yield Sample(rng.normal(size=(2, 3, *(5, 6, 4)[:n])), 2)
        yield Sample(rng.normal(size=(2, *(5, 6, 4)[:n])), 3, stride=2, padding=1, ceil_mode=True)


# ---- average --------------------------------------------------------------------------------------------
@op(places=())
def avg_pool(
    input: Tensor, *, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...], ceil_mode: bool,
    count_include_pad: bool, divisor: int | None,
) -> Tensor:  # fmt: skip
    """The mean of each window of the last axes.

    The divisor is ``divisor``, else the window's elements within the input, with ``count_include_pad``
    those within the padded input.
    """
    n = len(kernel)
    seen = _pool_windows(widen(input), 0, kernel, stride, padding, (1,) * n, ceil_mode)
    total = reduce_sum(seen, axes=_inner(seen, n))
    if divisor is None and not any(padding) and not ceil_mode:
        divisor = math.prod(kernel)
    whole = not input.dtype.is_floating_point
    if divisor is not None:
        return trunc_divide(total, divisor) if whole else narrow_to(total * (1.0 / divisor), input.dtype)
    lead = input.ndim - n
    counts: Any = 1
    for i in range(n):
        size = input.shape[lead + i]
        counts = counts * _counts(total, lead + i, size, kernel[i], stride[i], padding[i], count_include_pad)
    return trunc_divide(total, counts) if whole else narrow_to(total / counts, input.dtype)


def _counts(total: Tensor, axis: int, size: Dim, kernel: int, stride: int, padding: int, include_pad: bool) -> Tensor:
    """How many elements of an axis each window covers."""
    start = ramp(total.shape[axis], axis, total.ndim) * stride - padding
    stop = minimum(start + kernel, number_of(size + padding))
    if not include_pad:
        start, stop = maximum(start, 0), minimum(stop, number_of(size))
    return cast(stop - start, dtype=total.dtype)


@avg_pool.samples
def _(rng):
    yield Sample(
        rng.normal(size=(2, 5, 6)), kernel=(2, 3), stride=(2, 2), padding=(1, 1), ceil_mode=True,
        count_include_pad=False, divisor=None,
    )  # fmt: skip
    yield Sample(
        rng.normal(size=(2, 7)), kernel=(3,), stride=(2,), padding=(0,), ceil_mode=False, count_include_pad=True,
        divisor=None,
    )  # fmt: skip


def _avg_pool(
    name: str, n: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor: int | None,
) -> Tensor:  # fmt: skip
    require_real(name, input)
    kernel, strides, pads, _ = _geometry(name, n, input, kernel_size, stride, padding)
    if divisor == 0:
        raise ValueRangeError(f"{name}: divisor_override must not be 0")
    return avg_pool(
        input, kernel=kernel, stride=strides, padding=pads, ceil_mode=bool(ceil_mode),
        count_include_pad=bool(count_include_pad), divisor=divisor,
    )  # fmt: skip


@function(places=("torch", "nn"))
def avg_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """Means of windows: ``[*, C, L]`` to ``[*, C, L']``."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@function(places=NN)
def avg_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """Means of windows: ``[*, C, H, W]`` to ``[*, C, H', W']``."""
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@function(places=NN)
def avg_pool3d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """Means of windows: ``[*, C, D, H, W]`` to ``[*, C, D', H', W']``."""
    return _avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


for _n, _entry in enumerate((avg_pool1d, avg_pool2d, avg_pool3d), 1):

    @_entry.samples
    def _(rng, n=_n):
        yield Sample(rng.normal(size=(2, 3, *(5, 6, 4)[:n])), 2)
        yield Sample(rng.normal(size=(2, *(5, 6, 4)[:n])), 3, stride=2, padding=1, ceil_mode=True)


register(leading, max_pool, max_pool_indices)
