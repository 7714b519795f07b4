"""Convolution: one primitive in n dimensions, from which forward and both gradients are made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitorch import dims
from jitorch.errors import DTypeError, ShapeError, ValueRangeError
from jitorch.ops.create import constant
from jitorch.ops.registry import Sample, op, primitive
from jitorch.ops.sliding import window_count
from jitorch.ops.structure import flip_axes, pad_axes, reshape_to, slice_axes, transpose_axes

Tensor = Any


@primitive(lowering="recipe")
def convolution(x: Tensor, w: Tensor, *, stride: tuple[int, ...], dilation: tuple[int, ...]) -> Tensor:
    """Cross-correlation per group, without padding.

    ``x: [G, N, C, *S]``, ``w: [G, O, C, *K]`` to ``[G, N, O, *S']`` with
    ``S' = (S - dilation * (K - 1) - 1) // stride + 1``.
    """


@convolution.type_rule
def _(x, w, *, stride, dilation):
    if x.dtype is not w.dtype:
        raise DTypeError("convolution: input and weight must have one dtype", expected=x, actual=w)
    if not dims.equal(x.shape[0], w.shape[0]) or not dims.equal(x.shape[2], w.shape[2]):
        raise ShapeError(
            "convolution: channels differ", expected=f"{w.shape[2]} channels in {w.shape[0]} groups", actual=x
        )
    spatial = tuple(map(window_count, x.shape[3:], w.shape[3:], stride, dilation))
    if any(isinstance(d, int) and d <= 0 for d in spatial):
        raise ShapeError("convolution: the kernel does not fit", expected=f"at least {w.shape[3:]}", actual=x)
    return x.with_shape((x.shape[0], x.shape[1], w.shape[1], *spatial))


@convolution.numpy
def _(x, w, *, stride, dilation):
    n = len(stride)
    spatial: Any = tuple(map(window_count, x.shape[3:], w.shape[3:], stride, dilation))
    if math.prod(w.shape[3:]) > math.prod(spatial):
        return _by_position(x, w, spatial, stride, dilation)
    steps = (
        *x.strides[:3],
        *(s * a for s, a in zip(x.strides[3:], stride)),
        *(s * a for s, a in zip(x.strides[3:], dilation)),
    )
    patches = np.lib.stride_tricks.as_strided(x, (*x.shape[:3], *spatial, *w.shape[3:]), steps, writeable=False)
    # [G, N, C, *S', *K] -> [G, C * K, N * S'], then one matrix product a group.
    order = (0, 2, *range(3 + n, 3 + 2 * n), 1, *range(3, 3 + n))
    groups, batch, outputs = x.shape[0], x.shape[1], w.shape[1]
    columns = patches.transpose(order).reshape(groups, -1, batch * math.prod(spatial))
    product = np.matmul(w.reshape(groups, outputs, -1), columns)
    return np.ascontiguousarray(np.moveaxis(product.reshape(groups, outputs, batch, *spatial), 1, 2))


def _by_position(x: Any, w: Any, spatial: tuple[int, ...], stride: Sequence[int], dilation: Sequence[int]) -> Any:
    """A large kernel at few positions, as in a weight's gradient: one matrix product a position."""
    groups, batch, outputs, taps = x.shape[0], x.shape[1], w.shape[1], w.shape[3:]
    result = np.empty((groups, batch, outputs, *spatial), x.dtype)
    rows = w.reshape(groups, outputs, -1).swapaxes(1, 2)
    for position in np.ndindex(*spatial):
        window = tuple(slice(p * s, p * s + (t - 1) * d + 1, d) for p, s, t, d in zip(position, stride, taps, dilation))
        result[(..., *position)] = x[(..., *window)].reshape(groups, batch, -1) @ rows
    return result


def _swap(x: Tensor, a: int, b: int) -> Tensor:
    perm = list(range(x.ndim))
    perm[a], perm[b] = perm[b], perm[a]
    return transpose_axes(x, perm=tuple(perm))


@convolution.vjp
def _(g, out, x, w, *, stride, dilation):
    n = len(stride)
    reach = tuple(d * (s - 1) for d, s in zip(dilation, w.shape[3:]))
    # Elements of x behind the last window were never read.
    unread = tuple(a - ((o - 1) * s + 1 + r) for a, o, s, r in zip(x.shape[3:], out.shape[3:], stride, reach))
    spread = pad_axes(
        g, constant(value=0, dtype=g.dtype),
        low=(0, 0, 0, *reach), high=(0, 0, 0, *(r + u for r, u in zip(reach, unread))),
        interior=(0, 0, 0, *(s - 1 for s in stride)),
    )  # fmt: skip
    mirrored = flip_axes(_swap(w, 1, 2), axes=tuple(range(3, 3 + n)))
    grad_x = convolution(spread, mirrored, stride=(1,) * n, dilation=dilation)
    # The weight's gradient correlates x with g: batch takes the place of channels, stride that of dilation.
    grad_w = convolution(_swap(x, 1, 2), _swap(g, 1, 2), stride=dilation, dilation=stride)
    grad_w = slice_axes(
        grad_w, starts=(0,) * grad_w.ndim, stops=(*grad_w.shape[:3], *w.shape[3:]), steps=(1,) * grad_w.ndim
    )
    return grad_x, _swap(grad_w, 1, 2)


@convolution.samples
def _(rng):
    yield Sample(rng.normal(size=(1, 2, 2, 6)), rng.normal(size=(1, 3, 2, 3)), stride=(2,), dilation=(1,))
    yield Sample(rng.normal(size=(2, 1, 2, 5, 6)), rng.normal(size=(2, 2, 2, 2, 2)), stride=(1, 2), dilation=(2, 1))


def spread(name: str, value: int | Sequence[int], n: int) -> tuple[int, ...]:
    """An int for all ``n`` axes, or one a axis."""
    if isinstance(value, int):
        return (value,) * n
    if len(value) == 1:
        return tuple(value) * n
    if len(value) != n:
        raise ShapeError(f"{name}: expected one number, or one for each of {n} axes", actual=tuple(value))
    return tuple(value)


def convolve(
    name: str, n: int, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any,
    groups: int,
) -> Tensor:  # fmt: skip
    if x.ndim not in (n + 1, n + 2) or weight.ndim != n + 2:
        raise ShapeError(
            f"{name}: wrong number of axes", expected=f"input [N, C, *{n}], weight [O, C/groups, *{n}]",
            actual=f"{x.type}, {weight.type}",
        )  # fmt: skip
    if bias is not None and bias.dtype is not x.dtype:
        raise DTypeError(f"{name}: input and bias must have one dtype", expected=x.type, actual=bias.type)
    stride, dilation = spread(name, stride, n), spread(name, dilation, n)
    if min(*stride, *dilation, groups, *(d for d in weight.shape if isinstance(d, int))) < 1:
        raise ShapeError(
            f"{name}: stride, dilation, groups and the sizes of the kernel must be positive",
            actual=f"stride={stride}, dilation={dilation}, groups={groups}, weight {weight.type}",
        )
    low, high = _padding(name, padding, weight.shape[2:], stride, dilation)
    batched = x if x.ndim == n + 2 else reshape_to(x, shape=(1, *x.shape))
    channels, outputs = batched.shape[1], weight.shape[0]
    if not dims.equal(channels, weight.shape[1] * groups) or not dims.is_multiple(outputs, groups):
        raise ShapeError(
            f"{name}: channels do not fit", expected=f"{weight.shape[1] * groups} input channels (weight x groups)",
            actual=f"{channels} in {x.type}, groups={groups}, weight {weight.type}",
        )  # fmt: skip
    if any(low) or any(high):
        zero = constant(value=0, dtype=batched.dtype)
        batched = pad_axes(batched, zero, low=(0, 0, *low), high=(0, 0, *high), interior=(0,) * (n + 2))
    batch, spatial = batched.shape[0], batched.shape[2:]
    if groups == 1:
        grouped = reshape_to(batched, shape=(1, batch, channels, *spatial))
    else:
        split = reshape_to(batched, shape=(batch, groups, dims.floordiv(channels, groups), *spatial))
        grouped = _swap(split, 0, 1)
    kernel = reshape_to(weight, shape=(groups, dims.floordiv(outputs, groups), *weight.shape[1:]))
    out = convolution(grouped, kernel, stride=stride, dilation=dilation)
    shape = (batch, outputs, *out.shape[3:])
    out = reshape_to(out if groups == 1 else _swap(out, 0, 1), shape=shape)
    if bias is not None:
        out = out + reshape_to(bias, shape=(outputs, *(1,) * n))
    return out if x.ndim == n + 2 else reshape_to(out, shape=tuple(out.shape[1:]))


def _padding(
    name: str, padding: Any, kernel: Sequence[int], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    n = len(stride)
    if padding == "valid":
        return (0,) * n, (0,) * n
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ShapeError(f"{name}: padding='same' needs stride 1", actual=stride)
        total = tuple(d * (k - 1) for d, k in zip(dilation, kernel))
        return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    if isinstance(padding, str):
        raise ValueRangeError(f"{name}: unknown padding", expected="sizes, 'valid' or 'same'", actual=padding)
    both = spread(name, padding, n)
    if any(v < 0 for v in both):
        raise ValueRangeError(f"{name}: padding must not be negative", actual=both)
    return both, both


@op(places=("torch", "nn"))
def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0, dilation: int = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """1-d cross-correlation: ``[N, C, L]``, ``[O, C/groups, K]`` to ``[N, O, L']``."""
    return convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@conv1d.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 7)), rng.normal(size=(4, 3, 3)), rng.normal(size=(4,)), stride=2, padding=1)


@op(places=("torch", "nn"))
def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0, dilation: int = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """2-d cross-correlation: ``[N, C, H, W]``, ``[O, C/groups, KH, KW]`` to ``[N, O, H', W']``."""
    return convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@conv2d.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 5, 6)), rng.normal(size=(4, 3, 3, 3)), rng.normal(size=(4,)), padding=1)
    yield Sample(rng.normal(size=(1, 4, 5, 5)), rng.normal(size=(4, 2, 2, 3)), stride=(2, 1), groups=2)
    yield Sample(rng.normal(size=(1, 2, 7, 7)), rng.normal(size=(2, 2, 2, 2)), dilation=2, stride=2)


@op(places=("torch", "nn"))
def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0, dilation: int = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """3-d cross-correlation: ``[N, C, D, H, W]``, ``[O, C/groups, KD, KH, KW]`` to ``[N, O, D', H', W']``."""
    return convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


@conv3d.samples
def _(rng):
    yield Sample(rng.normal(size=(1, 2, 3, 4, 3)), rng.normal(size=(2, 2, 2, 2, 2)), padding=1, stride=2)
