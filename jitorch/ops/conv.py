"""Convolution: one primitive in n dimensions, from which forward and both gradients are made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitorch import dims
from jitorch.dims import Dim
from jitorch.errors import DTypeError, ShapeError, ValueRangeError
from jitorch.ops.batching import merge, move_axis, repeated, split
from jitorch.ops.registry import Sample, op, primitive
from jitorch.ops.sliding import window_count
from jitorch.ops.structure import flip_axes, reshape_to, transpose_axes

Tensor = Any


@primitive(lowering="recipe")
def convolution(
    x: Tensor, w: Tensor, *, stride: tuple[int, ...], dilation: tuple[int, ...], low: tuple[Dim, ...],
    high: tuple[Dim, ...], interior: tuple[int, ...], groups: int,
) -> Tensor:  # fmt: skip
    """Cross-correlation, within ``groups`` of channels.

    ``x: [N, G*C, *S]``, ``w: [G*O, C, *K]`` to ``[N, G*O, *S']``.  Along each of S stand ``interior``
    zeros between neighbours, then ``low`` zeros in front and ``high`` behind (a negative number cuts):
    with ``P`` elements in all, ``S' = (P - dilation * (K - 1) - 1) // stride + 1``.
    """


def padded_sizes(sizes: Sequence[Dim], low: Sequence[Dim], high: Sequence[Dim], interior: Sequence[int]) -> list[Dim]:
    """What ``sizes`` become with zeros around and between."""
    return [a + (d if not e else (d - 1) * (e + 1) + 1) + b for d, a, b, e in zip(sizes, low, high, interior)]


@convolution.type_rule
def _(x, w, *, stride, dilation, low, high, interior, groups):
    if x.dtype is not w.dtype:
        raise DTypeError("convolution: input and weight must have one dtype", expected=x, actual=w)
    if not dims.equal(x.shape[1], w.shape[1] * groups) or not dims.is_multiple(w.shape[0], groups):
        raise ShapeError(
            "convolution: channels differ", expected=f"{w.shape[1]} channels in each of {groups} groups", actual=x
        )
    sizes = padded_sizes(x.shape[2:], low, high, interior)
    spatial = tuple(map(window_count, sizes, w.shape[2:], stride, dilation))
    if not all(dims.holds("<", 0, d) for d in spatial):
        raise ShapeError(
            "convolution: the kernel does not fit", expected=f"at least {w.shape[2:]}", actual=f"{x}, padded to {sizes}"
        )
    return x.with_shape((x.shape[0], w.shape[0], *spatial))


def _padded(x: Any, low: Sequence[int], high: Sequence[int], interior: Sequence[int]) -> Any:
    """An array with zeros around and between its elements along the last axes, or cut."""
    if not any((*low, *high, *interior)):
        return x
    lead = x.shape[:2]
    sizes: Any = tuple(padded_sizes(x.shape[2:], low, high, interior))
    result = np.zeros((*lead, *sizes), x.dtype)
    to, from_ = [], []
    for a, d, n, e in zip(low, x.shape[2:], sizes, interior):
        first = max(0, -(a // (e + 1)))
        last = min(d - 1, (n - 1 - a) // (e + 1))
        from_.append(slice(first, max(last + 1, first)))
        start = a + first * (e + 1)
        to.append(slice(start, max(a + last * (e + 1) + 1, start), e + 1))
    result[(..., *to)] = x[(..., *from_)]
    return result


def _split(x: Any, axis: int, groups: int) -> Any:
    """An array with an axis cut in groups, which come first."""
    shape = (*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])
    return np.moveaxis(x.reshape(shape), axis, 0)


@convolution.numpy
def _(x, w, *, stride, dilation, low, high, interior, groups):
    split = _split(_padded(x, low, high, interior), 1, groups)
    out = _correlate(split, _split(w, 0, groups), stride, dilation)
    return np.ascontiguousarray(np.moveaxis(out, 0, 1)).reshape(x.shape[0], w.shape[0], *out.shape[3:])


def _correlate(x: Any, w: Any, stride: Sequence[int], dilation: Sequence[int]) -> Any:
    """``x: [G, N, C, *S]``, ``w: [G, O, C, *K]`` to ``[G, N, O, *S']``."""
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
    columns = patches.transpose(order).reshape(groups, w.shape[2] * math.prod(w.shape[3:]), batch * math.prod(spatial))
    product = np.matmul(w.reshape(groups, outputs, columns.shape[1]), columns)
    return np.moveaxis(product.reshape(groups, outputs, batch, *spatial), 1, 2)


def _by_position(x: Any, w: Any, spatial: tuple[int, ...], stride: Sequence[int], dilation: Sequence[int]) -> Any:
    """A large kernel at few positions, as in a weight's gradient: one matrix product a position."""
    groups, batch, outputs, taps = x.shape[0], x.shape[1], w.shape[1], w.shape[3:]
    result = np.empty((groups, batch, outputs, *spatial), x.dtype)
    products = w.shape[2] * math.prod(taps)
    rows = w.reshape(groups, outputs, products).swapaxes(1, 2)
    for position in np.ndindex(*spatial):
        window = tuple(slice(p * s, p * s + (t - 1) * d + 1, d) for p, s, t, d in zip(position, stride, taps, dilation))
        result[(..., *position)] = x[(..., *window)].reshape(groups, batch, products) @ rows
    return result


def mirrored(w: Tensor, groups: int) -> Tensor:
    """The weight of the convolution that goes back: ``[G*O, C, *K]`` to ``[G*C, O, *K]``, axes K reversed."""
    outputs, channels, kernel = w.shape[0], w.shape[1], tuple(w.shape[2:])
    flipped = flip_axes(w, axes=tuple(range(2, w.ndim)))
    if groups == 1:
        return transpose_axes(flipped, perm=(1, 0, *range(2, w.ndim)))
    each = dims.floordiv(outputs, groups)
    split = reshape_to(flipped, shape=(groups, each, channels, *kernel))
    swapped = transpose_axes(split, perm=(0, 2, 1, *range(3, split.ndim)))
    return reshape_to(swapped, shape=(groups * channels, each, *kernel))


def _input_gradient(
    g: Tensor, w: Tensor, sizes: Sequence[Dim], *, stride: tuple[int, ...], dilation: tuple[int, ...],
    low: tuple[Dim, ...], high: tuple[Dim, ...], interior: tuple[int, ...], groups: int,
) -> Tensor:  # fmt: skip
    """What ``g: [N, G*O, *S']`` sends back to ``x: [N, G*C, *sizes]``.

    A convolution too: stride and interior zeros change places, the weight is mirrored.
    """
    reach = tuple(d * (k - 1) for d, k in zip(dilation, w.shape[2:]))
    front = tuple(r - a for r, a in zip(reach, low))
    behind = tuple(
        e * (d - 1) + d + r - a - (o - 1) * s - 1
        for d, e, r, a, o, s in zip(sizes, interior, reach, front, g.shape[2:], stride)
    )
    return convolution(
        g, mirrored(w, groups), stride=tuple(e + 1 for e in interior), dilation=dilation, low=front, high=behind,
        interior=tuple(s - 1 for s in stride), groups=groups,
    )  # fmt: skip


@convolution.vjp
def _(g, out, x, w, **geometry):
    grad_x = _input_gradient(g, w, x.shape[2:], **geometry)
    return grad_x, convolution_weight(x, g, kernel=tuple(w.shape[2:]), **geometry)


def _into_channels(x: Tensor) -> Tensor:
    """``[batch, N, C, ...]`` to ``[N, batch * C, ...]``."""
    return merge(move_axis(x, 0, 1), 1)


@convolution.batch
def _(size, batched, x, w, *, groups, **geometry):
    if not batched[1]:
        out = convolution(merge(x, 0), w, groups=groups, **geometry)
        return split(out, 0, size, x.shape[1])
    if not batched[0] and groups == 1:
        wide = convolution(x, merge(w, 0), groups=1, **geometry)
    else:
        wide = convolution(_into_channels(repeated(size, batched[0], x)), merge(w, 0), groups=size * groups, **geometry)
    return move_axis(split(wide, 1, size, w.shape[1]), 1, 0)


@convolution.samples
def _(rng):
    plain: Any = {"low": (0,), "high": (0,), "interior": (0,), "groups": 1}
    yield Sample(rng.normal(size=(2, 2, 6)), rng.normal(size=(3, 2, 3)), stride=(2,), dilation=(1,), **plain)
    yield Sample(
        rng.normal(size=(1, 4, 5, 6)), rng.normal(size=(4, 2, 2, 2)), stride=(1, 2), dilation=(2, 1), low=(1, 0),
        high=(0, 2), interior=(0, 0), groups=2,
    )  # fmt: skip
    yield Sample(
        rng.normal(size=(2, 2, 4, 3)), rng.normal(size=(3, 2, 3, 2)), stride=(1, 2), dilation=(1, 1), low=(2, -1),
        high=(-1, 2), interior=(1, 2), groups=1,
    )  # fmt: skip


@primitive(lowering="recipe")
def convolution_weight(
    x: Tensor, g: Tensor, *, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...],
    low: tuple[Dim, ...], high: tuple[Dim, ...], interior: tuple[int, ...], groups: int,
) -> Tensor:  # fmt: skip
    """The gradient of a `convolution` with regard to its weight.

    ``x: [N, G*C, *S]`` and the output's gradient ``g: [N, G*O, *S']`` to ``[G*O, C, *kernel]``: the sum
    over N and S' of ``g[s'] * x[stride * s' + dilation * k]``.
    """


@convolution_weight.type_rule
def _(x, g, *, kernel, stride, dilation, low, high, interior, groups):
    if x.dtype is not g.dtype:
        raise DTypeError("convolution_weight: both operands must have one dtype", expected=x, actual=g)
    if not dims.equal(x.shape[0], g.shape[0]):
        raise ShapeError("convolution_weight: batches differ", expected=x, actual=g)
    sizes = padded_sizes(x.shape[2:], low, high, interior)
    spatial = tuple(map(window_count, sizes, kernel, stride, dilation))
    if not all(map(dims.equal, spatial, g.shape[2:])):
        raise ShapeError("convolution_weight: not the gradient of such an output", expected=spatial, actual=g)
    return x.with_shape((g.shape[1], dims.floordiv(x.shape[1], groups), *kernel))


@convolution_weight.numpy
def _(x, g, *, kernel, stride, dilation, low, high, interior, groups):
    # A correlation of x with g: batch takes the place of channels, stride that of dilation.
    split = [_split(a, 1, groups).swapaxes(1, 2) for a in (_padded(x, low, high, interior), g)]
    columns, rows = map(np.ascontiguousarray, split)
    full = _correlate(columns, rows, dilation, stride)
    cut = full[(..., *map(slice, kernel))].swapaxes(1, 2)
    return np.ascontiguousarray(cut).reshape(g.shape[1], -1, *kernel)


@convolution_weight.vjp
def _(v, out, x, g, *, kernel, **geometry):
    return _input_gradient(g, v, x.shape[2:], **geometry), convolution(x, v, **geometry)


@convolution_weight.batch
def _(size, batched, x, g, *, groups, **geometry):
    x, g = repeated(size, batched[0], x), repeated(size, batched[1], g)
    wide = convolution_weight(_into_channels(x), _into_channels(g), groups=size * groups, **geometry)
    return split(wide, 0, size, g.shape[2])


@convolution_weight.samples
def _(rng):
    yield Sample(
        rng.normal(size=(2, 2, 6)), rng.normal(size=(2, 3, 2)), kernel=(3,), stride=(2,), dilation=(1,), low=(0,),
        high=(0,), interior=(0,), groups=1,
    )  # fmt: skip
    yield Sample(
        rng.normal(size=(2, 4, 5, 6)), rng.normal(size=(2, 6, 5, 3)), kernel=(2, 3), stride=(1, 2),
        dilation=(2, 1), low=(1, 0), high=(1, 1), interior=(0, 0), groups=2,
    )  # fmt: skip


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
    groups: int, interior: tuple[int, ...] | None = None,
) -> Tensor:  # fmt: skip
    """The convolution ``name`` of ``n`` axes; ``padding`` is also a pair: zeros in front and behind, an axis each."""
    if x.ndim not in (n + 1, n + 2) or weight.ndim != n + 2:
        raise ShapeError(
            f"{name}: wrong number of axes", expected=f"input [N, C, *{n}], weight [O, C/groups, *{n}]",
            actual=f"{x.type}, {weight.type}",
        )  # fmt: skip
    if bias is not None and bias.dtype is not x.dtype:
        raise DTypeError(f"{name}: input and bias must have one dtype", expected=x.type, actual=bias.type)
    if not isinstance(groups, int):
        # It decides which loops there are: a trace then holds for this number alone.
        raise ShapeError(f"{name}: the number of groups must be known", expected="an int", actual=groups)
    stride, dilation = spread(name, stride, n), spread(name, dilation, n)
    if min(*stride, *dilation, groups, *(d for d in weight.shape if isinstance(d, int))) < 1:
        raise ShapeError(
            f"{name}: stride, dilation, groups and the sizes of the kernel must be positive",
            actual=f"stride={stride}, dilation={dilation}, groups={groups}, weight {weight.type}",
        )
    low, high = padding if interior else _padding(name, padding, weight.shape[2:], stride, dilation)
    batched = x if x.ndim == n + 2 else reshape_to(x, shape=(1, *x.shape))
    channels, outputs = batched.shape[1], weight.shape[0]
    if not dims.equal(channels, weight.shape[1] * groups) or not dims.is_multiple(outputs, groups):
        raise ShapeError(
            f"{name}: channels do not fit", expected=f"{weight.shape[1] * groups} input channels (weight x groups)",
            actual=f"{channels} in {x.type}, groups={groups}, weight {weight.type}",
        )  # fmt: skip
    out = convolution(
        batched, weight, stride=stride, dilation=dilation, low=low, high=high, interior=interior or (0,) * n,
        groups=groups,
    )  # fmt: skip
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
