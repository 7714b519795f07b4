"""Pooling beside max and mean: power means, the inverse of max pooling; and rearranged channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import DTypeError, ShapeError, ValueRangeError
from jitorch.ops.conv import spread
from jitorch.ops.gather import scatter_axis
from jitorch.ops.helpers import filled, require_rank
from jitorch.ops.math import abs, pow, sign
from jitorch.ops.pooling import avg_pool1d, avg_pool2d, avg_pool3d
from jitorch.ops.rectifier import relu_op
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import copy, reshape_to, transpose_axes

Tensor = Any

NN = ("nn",)


# ---- the inverse of max pooling --------------------------------------------------------------------------
def _unpooled_size(
    name: str, n: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> tuple[Any, ...]:
    require_rank(name, input, n + 1, n + 2)
    kernel = spread(name, kernel_size, n)
    strides = kernel if stride is None or stride == [] or stride == () else spread(name, stride, n)
    pads = spread(name, padding, n)
    spatial = input.shape[input.ndim - n :]
    default = tuple((d - 1) * s + k - 2 * p for d, s, k, p in zip(spatial, strides, kernel, pads))
    if output_size is None:
        return default
    given = tuple(output_size)
    given = given[len(given) - n :]
    if len(given) != n or any(not d - s < g < d + s for g, d, s in zip(given, default, strides)):
        raise ValueRangeError(f"{name}: no such output size", expected=f"near {default}", actual=tuple(output_size))
    return given


def _unpool(
    name: str, n: int, input: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Tensor:
    if indices.dtype is not dtypes.int64:
        raise DTypeError(f"{name}: the indices must be int64", expected="int64", actual=indices.type)
    if tuple(indices.shape) != tuple(input.shape):
        raise ShapeError(f"{name}: one index for each element", expected=input.type, actual=indices.type)
    size = _unpooled_size(name, n, input, kernel_size, stride, padding, output_size)
    lead = tuple(input.shape[: input.ndim - n])
    count, total = dims.prod(input.shape[input.ndim - n :]), dims.prod(size)
    flat, at = (reshape_to(x, shape=(*lead, count)) for x in (input, indices))
    zeros = filled(0, input.dtype, (*lead, total))
    return reshape_to(scatter_axis(zeros, at, flat, axis=len(lead), accumulate=False), shape=(*lead, *size))


@function(places=NN)
def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Elements back at the places that `max_pool1d` gave, 0 elsewhere."""
    return _unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


@function(places=NN)
def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Elements back at the places that `max_pool2d` gave, 0 elsewhere."""
    return _unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


@function(places=NN)
def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Elements back at the places that `max_pool3d` gave, 0 elsewhere."""
    return _unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)


for _n, _entry in enumerate((max_unpool1d, max_unpool2d, max_unpool3d), 1):

    @_entry.samples
    def _(rng, n=_n):
        shape = (2, *(2, 2, 2)[:n])
        places = np.stack([rng.permutation(4**n)[: 2**n].reshape(shape[1:]) for _ in range(2)])
        yield Sample(rng.normal(size=shape), places, 2)


# ---- power means ------------------------------------------------------------------------------------------
def _lp_pool(pool: Any, n: int, input: Tensor, p: Any, kernel_size: Any, stride: Any, ceil_mode: bool) -> Tensor:
    kernel = spread("lp_pool", kernel_size, n)
    mean = pool(pow(input, p), kernel, stride, 0, ceil_mode)
    return pow(sign(mean) * relu_op(abs(mean)) * float(math.prod(kernel)), 1.0 / p)


@function(places=NN)
def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The ``norm_type``-norm of each window of ``[*, C, L]``."""
    return _lp_pool(avg_pool1d, 1, input, norm_type, kernel_size, stride, ceil_mode)


@function(places=NN)
def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The ``norm_type``-norm of each window of ``[*, C, H, W]``."""
    return _lp_pool(avg_pool2d, 2, input, norm_type, kernel_size, stride, ceil_mode)


@function(places=NN)
def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The ``norm_type``-norm of each window of ``[*, C, D, H, W]``."""
    return _lp_pool(avg_pool3d, 3, input, norm_type, kernel_size, stride, ceil_mode)


for _n, _entry in enumerate((lp_pool1d, lp_pool2d, lp_pool3d), 1):

    @_entry.samples
    def _(rng, n=_n):
        yield Sample(rng.uniform(0.5, 1, size=(2, *(4, 6, 4)[:n])), 2, 2)


# ---- rearranged channels ------------------------------------------------------------------------------------
@function(places=("torch", "nn"))
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """``[*, C * r * r, H, W]`` to ``[*, C, H * r, W * r]``.  Shi et al., 2016 (arXiv:1609.05158)."""
    r = upscale_factor
    _check_shuffle("pixel_shuffle", input, r)
    channels = input.shape[-3]
    if not dims.is_multiple(channels, r * r):
        raise ShapeError("pixel_shuffle: channels do not split", expected=f"a multiple of {r * r}", actual=input.type)
    return pixel_shuffle_op(input, factor=r)


@op(name="pixel_shuffle", places=())
def pixel_shuffle_op(input: Tensor, *, factor: int) -> Tensor:
    """``[*, C * r * r, H, W]`` to ``[*, C, H * r, W * r]``, in memory of its own."""
    *lead, channels, height, width = input.shape
    n, r, channels = len(lead), factor, dims.floordiv(channels, factor * factor)
    split = reshape_to(input, shape=(*lead, channels, r, r, height, width))
    turned = copy(transpose_axes(split, perm=(*range(n), n, n + 3, n + 1, n + 4, n + 2)))
    return reshape_to(turned, shape=(*lead, channels, height * r, width * r))


@pixel_shuffle_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 8, 2, 3)), factor=2)


def _check_shuffle(name: str, input: Tensor, factor: int) -> None:
    if input.ndim < 3:
        raise ShapeError(f"{name}: needs at least three axes, [*, C, H, W]", actual=input.type)
    if factor <= 0:
        raise ValueRangeError(f"{name}: the factor must be positive", expected="at least 1", actual=factor)


@function(places=("torch", "nn"))
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """``[*, C, H * r, W * r]`` to ``[*, C * r * r, H, W]``: the inverse of `pixel_shuffle`."""
    r = downscale_factor
    _check_shuffle("pixel_unshuffle", input, r)
    height, width = input.shape[-2:]
    if not dims.is_multiple(height, r) or not dims.is_multiple(width, r):
        raise ShapeError("pixel_unshuffle: the sizes do not split", expected=f"multiples of {r}", actual=input.type)
    return pixel_unshuffle_op(input, factor=r)


@op(name="pixel_unshuffle", places=())
def pixel_unshuffle_op(input: Tensor, *, factor: int) -> Tensor:
    """``[*, C, H * r, W * r]`` to ``[*, C * r * r, H, W]``, in memory of its own."""
    *lead, channels, height, width = input.shape
    n, r = len(lead), factor
    height, width = dims.floordiv(height, r), dims.floordiv(width, r)
    split = reshape_to(input, shape=(*lead, channels, height, r, width, r))
    turned = copy(transpose_axes(split, perm=(*range(n), n, n + 2, n + 4, n + 1, n + 3)))
    return reshape_to(turned, shape=(*lead, channels * r * r, height, width))


@pixel_unshuffle_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 2, 4, 6)), factor=2)


@function(places=("torch", "nn"))
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels (axis 1) of ``groups`` groups dealt out in turn.  Zhang et al., 2017 (arXiv:1707.01083)."""
    if input.ndim < 3:
        raise ShapeError("channel_shuffle: needs at least three axes, [N, C, *]", actual=input.type)
    channels = input.shape[1]
    if groups <= 0 or not dims.is_multiple(channels, groups):
        raise ValueRangeError("channel_shuffle: no such groups", expected=f"a divisor of {channels}", actual=groups)
    return channel_shuffle_op(input, groups=groups)


@op(name="channel_shuffle", places=())
def channel_shuffle_op(input: Tensor, *, groups: int) -> Tensor:
    """Axis 1 as ``[groups, *]``, transposed, in memory of its own."""
    batch, channels, *rest = input.shape
    split = reshape_to(input, shape=(batch, groups, dims.floordiv(channels, groups), *rest))
    swapped = copy(transpose_axes(split, perm=(0, 2, 1, *range(3, split.ndim))))
    return reshape_to(swapped, shape=tuple(input.shape))


@channel_shuffle_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 6, 2)), groups=3)


@pixel_shuffle.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 8, 2, 3)), 2)
    yield Sample(rng.normal(size=(9, 1, 2)), 3)


@pixel_unshuffle.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 2, 4, 6)), 2)


@channel_shuffle.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 6, 2)), 3)
