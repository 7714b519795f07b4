"""Normalisation layers: statistics of the input, then an affine map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch import dims
from jitorch.errors import ArgumentError, ShapeError, ValueRangeError
from jitorch.ops.create import constant
from jitorch.ops.helpers import at_axis, count_over, float_dtype, mean_over, narrow_to, require_float, unrecorded, widen
from jitorch.ops.math import rsqrt
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.sliding import windows
from jitorch.ops.structure import copy, inverse_permutation, pad_axes, reduce_sum, reshape_to, transpose_axes

Tensor = Any

NN = ("nn",)


def _standardised(x: Tensor, eps: Any, axes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """``(x - mean) / sqrt(var + eps)`` over ``axes``, and the reciprocal deviation."""
    centred = x - mean_over(x, axes)
    scale = rsqrt(mean_over(centred * centred, axes) + eps)
    return centred * scale, scale


def _standardised_vjp(g: Tensor, normal: Tensor, scale: Tensor, axes: Sequence[int]) -> Tensor:
    return scale * (g - mean_over(g, axes) - normal * mean_over(g * normal, axes))


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        x = x * widen(weight)
    return x if bias is None else x + widen(bias)


def _last_axes(x: Tensor, count: int) -> tuple[int, ...]:
    return tuple(range(x.ndim - count, x.ndim))


def _first_axes(x: Tensor, count: int) -> tuple[int, ...]:
    return tuple(range(x.ndim - count))


@op(name="layer_norm", places=())
def layer_norm_op(input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5, *, axes: int) -> Tensor:
    """Mean 0 and variance 1 over the last ``axes`` axes, then times ``weight`` plus ``bias``."""
    normal, _ = _standardised(widen(input), eps, _last_axes(input, axes))
    return narrow_to(_affine(normal, weight, bias), input.dtype)


@layer_norm_op.vjp
def _(g, out, input, weight, bias, eps, *, axes):
    g = widen(g)
    over = _last_axes(input, axes)
    normal, scale = _standardised(widen(input), eps, over)
    inner = g if weight is None else g * widen(weight)
    return (
        narrow_to(_standardised_vjp(inner, normal, scale, over), input.dtype),
        None if weight is None else narrow_to(_summed(g * normal, axes), weight.dtype),
        None if bias is None else narrow_to(_summed(g, axes), bias.dtype),
    )


def _summed(g: Tensor, axes: int) -> Tensor:
    lead = _first_axes(g, axes)
    return reduce_sum(g, axes=lead) if lead else g


@layer_norm_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=(4,)), rng.normal(size=(4,)), 1e-3, axes=1)
    yield Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 4)), None, axes=2)
    yield Sample(rng.normal(size=(3, 4)), None, None, axes=1)


def _check_normalized(name: str, input: Tensor, shape: Sequence[Any], *affine: Tensor | None) -> int:
    if isinstance(shape, int) or len(shape) == 0:
        raise ArgumentError(
            f"{name}: normalized_shape must be a sequence of sizes", expected="one or more", actual=shape
        )
    n = len(shape)
    if input.ndim < n or not all(map(dims.equal, input.shape[input.ndim - n :], shape)):
        raise ShapeError(
            f"{name}: the last axes are not normalized_shape", expected=f"[*, {', '.join(map(str, shape))}]",
            actual=input.type,
        )  # fmt: skip
    for x in affine:
        if x is not None and (x.ndim != n or not all(map(dims.equal, x.shape, shape))):
            raise ShapeError(f"{name}: weight and bias have normalized_shape", expected=tuple(shape), actual=x.type)
    return n


@function(name="layer_norm", places=("torch", "nn"))
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """Mean 0 and variance 1 over the last axes.  Ba, Kiros, Hinton, 2016 (arXiv:1607.06450).

    ``weight`` and ``bias`` have ``normalized_shape``; ``cudnn_enable`` is accepted and means nothing.
    """
    require_float("layer_norm", input, weight, bias)
    n = _check_normalized("layer_norm", input, normalized_shape, weight, bias)
    return layer_norm_op(input, weight, bias, eps, axes=n)


@layer_norm.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), [4], rng.normal(size=(4,)), rng.normal(size=(4,)))
    yield Sample(rng.normal(size=(2, 3, 4)), (3, 4))


@op(name="rms_norm", places=())
def rms_norm_op(input: Tensor, weight: Tensor | None, eps: float, *, axes: int) -> Tensor:
    """``input / sqrt(mean(input**2) + eps)`` over the last ``axes`` axes, times ``weight``."""
    x = widen(input)
    scale = rsqrt(mean_over(x * x, _last_axes(input, axes)) + eps)
    return narrow_to(_affine(x * scale, weight, None), input.dtype)


@rms_norm_op.vjp
def _(g, out, input, weight, eps, *, axes):
    g, x = widen(g), widen(input)
    over = _last_axes(input, axes)
    scale = rsqrt(mean_over(x * x, over) + eps)
    normal = x * scale
    inner = g if weight is None else g * widen(weight)
    return (
        narrow_to(scale * (inner - normal * mean_over(inner * normal, over)), input.dtype),
        None if weight is None else narrow_to(_summed(g * normal, axes), weight.dtype),
    )


@rms_norm_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=(4,)), 1e-3, axes=1)
    yield Sample(rng.normal(size=(3, 4)), None, 1e-3, axes=2)


@function(places=("torch", "nn"))
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """``input / sqrt(mean(input**2) + eps)`` over the last axes.  Zhang, Sennrich, 2019 (arXiv:1910.07467).

    ``eps`` defaults to the machine epsilon of the dtype computed in.
    """
    require_float("rms_norm", input, weight)
    n = _check_normalized("rms_norm", input, normalized_shape, weight)
    epsilon = (2.0**-52 if input.dtype.itemsize == 8 else 2.0**-23) if eps is None else eps
    return rms_norm_op(input, weight, epsilon, axes=n)


@rms_norm.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), [4], rng.normal(size=(4,)), 1e-3)
    yield Sample(rng.normal(size=(2, 3, 4)), (3, 4))


@op(name="group_norm", places=())
def group_norm_op(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5, *, groups: int
) -> Tensor:
    """Mean 0 and variance 1 within each of ``groups`` groups of channels (axis 1), then an affine map per channel."""
    batch, channels, spatial = input.shape[0], input.shape[1], input.shape[2:]
    split = (batch, groups, dims.floordiv(channels, groups), *spatial)
    x = reshape_to(widen(input), shape=split)
    normal, _ = _standardised(x, eps, tuple(range(2, len(split))))
    # Per channel in the shape that is split: so a kernel that goes group by group finds a channel without division.
    channel = (groups, split[2], *(1 for _ in spatial))
    weight = None if weight is None else reshape_to(weight, shape=channel)
    bias = None if bias is None else reshape_to(bias, shape=channel)
    return narrow_to(reshape_to(_affine(normal, weight, bias), shape=tuple(input.shape)), input.dtype)


@group_norm_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 4, 3)), rng.normal(size=(4,)), rng.normal(size=(4,)), 1e-3, groups=2)
    yield Sample(rng.normal(size=(2, 4, 3, 2)), None, None, groups=4)


@function(places=("torch", "nn"))
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Mean 0 and variance 1 within each group of channels.  Wu, He, 2018 (arXiv:1803.08494).

    ``cudnn_enabled`` is accepted and means nothing.
    """
    require_float("group_norm", input, weight, bias)
    if input.ndim < 2:
        raise ShapeError("group_norm: needs at least two axes, [N, C, *]", actual=input.type)
    if num_groups <= 0 or not dims.is_multiple(input.shape[1], num_groups):
        raise ShapeError(
            "group_norm: the channels do not split into equal groups", expected=f"a multiple of {num_groups} channels",
            actual=input.type,
        )  # fmt: skip
    _check_channels("group_norm", input, weight, bias)
    return group_norm_op(input, weight, bias, eps, groups=num_groups)


@group_norm.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 4, 3)), 2, rng.normal(size=(4,)), rng.normal(size=(4,)))


def _check_channels(name: str, input: Tensor, *vectors: Tensor | None) -> None:
    for x in vectors:
        if x is not None and (x.ndim != 1 or not dims.equal(x.shape[0], input.shape[1])):
            raise ShapeError(f"{name}: one element a channel", expected=f"({input.shape[1]},)", actual=x.type)


# ---- batch and instance normalisation ----------------------------------------------------------------
def _statistic_axes(x: Tensor, channel: int = 1) -> tuple[int, ...]:
    return tuple(i for i in range(x.ndim) if i != channel)


@op(name="batch_norm_train", places=())
def batch_norm_train_op(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each channel (axis 1) by the batch's own statistics; returns the result, mean and biased variance."""
    x, axes = widen(input), _statistic_axes(input)
    mean = mean_over(x, axes)
    centred = x - mean
    variance = mean_over(centred * centred, axes)
    normal = centred * rsqrt(variance + eps)
    out = _affine(normal, *_as_channels(input, weight, bias))
    vector = (input.shape[1],)
    return narrow_to(out, input.dtype), reshape_to(mean, shape=vector), reshape_to(variance, shape=vector)


def _as_channels(input: Tensor, *vectors: Tensor | None) -> list[Tensor | None]:
    return [None if v is None else at_axis(v, 1, input.ndim) for v in vectors]


@batch_norm_train_op.vjp
def _(gs, outs, input, weight, bias, eps):
    x, axes = widen(input), _statistic_axes(input)
    g, g_mean, g_variance = widen(gs[0]), *_as_channels(input, *gs[1:])
    centred = x - mean_over(x, axes)
    scale = rsqrt(mean_over(centred * centred, axes) + eps)
    normal = centred * scale
    inner = g if weight is None else g * widen(at_axis(weight, 1, input.ndim))
    by_statistics = (g_mean + 2.0 * centred * g_variance) / count_over(input, axes)
    return (
        narrow_to(_standardised_vjp(inner, normal, scale, axes) + by_statistics, input.dtype),
        None if weight is None else narrow_to(reduce_sum(g * normal, axes=axes), weight.dtype),
        None if bias is None else narrow_to(reduce_sum(g, axes=axes), bias.dtype),
    )


@batch_norm_train_op.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 2, 4)), rng.normal(size=(2,)), rng.normal(size=(2,)), 1e-3)
    yield Sample(rng.normal(size=(4, 2)), None, None)


@op(name="batch_norm_eval", places=())
def batch_norm_eval_op(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel (axis 1) by given statistics."""
    scale = rsqrt(widen(running_var) + eps)
    mean, scale = _as_channels(input, widen(running_mean), scale)
    out = _affine((widen(input) - mean) * scale, *_as_channels(input, weight, bias))
    return narrow_to(out, input.dtype)


@batch_norm_eval_op.samples
def _(rng):
    yield Sample(
        rng.normal(size=(3, 2, 4)), rng.normal(size=(2,)), rng.uniform(1, 2, size=(2,)), rng.normal(size=(2,)),
        rng.normal(size=(2,)), 1e-3,
    )  # fmt: skip
    yield Sample(rng.normal(size=(4, 2)), rng.normal(size=(2,)), rng.uniform(1, 2, size=(2,)), None, None)


def _update(running: Tensor | None, new: Tensor, momentum: Any) -> None:
    if running is not None:
        mixed = widen(running) * (1.0 - momentum) + new * momentum
        running._replace(narrow_to(mixed, running.dtype))


@function(places=("nn",))
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel (axis 1).  Ioffe, Szegedy, 2015 (arXiv:1502.03167).

    With ``training`` the batch's own statistics are used, and the running ones move towards them by
    ``momentum``, in place (the variance unbiased).
    """
    require_float("batch_norm", input, weight, bias, running_mean, running_var)
    if input.ndim == 1 and dims.equal(input.shape[0], 0):
        return copy(input)
    if input.ndim < 2:
        raise ShapeError("batch_norm: needs at least two axes, [N, C, *]", actual=input.type)
    _check_channels("batch_norm", input, running_mean, running_var, weight, bias)
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError("batch_norm: evaluation needs running_mean and running_var")
        return batch_norm_eval_op(input, running_mean, running_var, weight, bias, eps)
    axes = _statistic_axes(input)
    if dims.equal(dims.prod([input.shape[a] for a in axes]), 1):
        raise ValueRangeError(
            "batch_norm: training needs more than one value a channel", expected="more than 1", actual=input.type
        )
    out, mean, variance = batch_norm_train_op(input, weight, bias, eps)
    if running_mean is not None or running_var is not None:
        count = count_over(input, axes)
        with unrecorded():
            _update(running_mean, mean, momentum)
            _update(running_var, variance * (count / (count - 1)), momentum)
    return out


@batch_norm.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 2, 4)), None, None, rng.normal(size=(2,)), rng.normal(size=(2,)), training=True)
    yield Sample(rng.normal(size=(4, 2)), rng.normal(size=(2,)), rng.uniform(1, 2, size=(2,)))


@function(places=("nn",))
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each example.  Ulyanov et al., 2016 (arXiv:1607.08022).

    Running statistics, where given, move towards the mean over the batch of those of its examples.
    """
    require_float("instance_norm", input, weight, bias, running_mean, running_var)
    if input.ndim < 3:
        raise ShapeError("instance_norm: needs at least three axes, [N, C, *]", actual=input.type)
    _check_channels("instance_norm", input, running_mean, running_var, weight, bias)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ArgumentError("instance_norm: use_input_stats=False needs running_mean and running_var")
        return batch_norm_eval_op(input, running_mean, running_var, weight, bias, eps)
    batch, channels, spatial = input.shape[0], input.shape[1], tuple(input.shape[2:])
    if dims.equal(dims.prod(spatial), 1):
        raise ValueRangeError(
            "instance_norm: needs more than one spatial element", expected="more than 1", actual=input.type
        )
    flat = reshape_to(input, shape=(1, batch * channels, *spatial))
    out, mean, variance = batch_norm_train_op(flat, None, None, eps)
    if running_mean is not None or running_var is not None:
        count = count_over(flat, tuple(range(2, flat.ndim)))
        with unrecorded():
            _update(running_mean, _over_batch(mean, batch, channels), momentum)
            _update(running_var, _over_batch(variance, batch, channels) * (count / (count - 1)), momentum)
    out = reshape_to(out, shape=tuple(input.shape))
    return narrow_to(_affine(out, *_as_channels(input, weight, bias)), input.dtype)


def _over_batch(x: Tensor, batch: Any, channels: Any) -> Tensor:
    x = mean_over(reshape_to(x, shape=(batch, channels)), (0,))
    return reshape_to(x, shape=(channels,))


@instance_norm.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), weight=rng.normal(size=(3,)), bias=rng.normal(size=(3,)))


def _channel_window_sum(x: Tensor, size: int) -> Tensor:
    """The sum over ``size`` neighbouring channels (axis 1), ``size // 2`` of them before."""
    low, high = size // 2, (size - 1) // 2
    rest = (0,) * (x.ndim - 2)
    padded = pad_axes(
        x, constant(value=0, dtype=x.dtype), low=(0, low, *rest), high=(0, high, *rest), interior=(0,) * x.ndim
    )
    last_first = (0, *range(2, x.ndim), 1)
    seen = windows(transpose_axes(padded, perm=last_first), sizes=(size,), strides=(1,), dilations=(1,))
    total = reduce_sum(seen, axes=(x.ndim,))
    return transpose_axes(total, perm=inverse_permutation(last_first))


@function(places=("nn",))
def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Divide by a power of the mean square over ``size`` neighbouring channels.

    Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", 2012.
    """
    if input.ndim < 3:
        raise ShapeError("local_response_norm: needs at least three axes, [N, C, *]", actual=input.type)
    return local_response_norm_op(input, alpha, beta, k, size=size)


@local_response_norm.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5, 3)), 3)


@op(name="local_response_norm", places=())
def local_response_norm_op(input: Tensor, alpha: float, beta: float, k: float, *, size: int) -> Tensor:
    """``input / (k + alpha * mean of squares over size channels) ** beta``."""
    x = widen(input)
    total = _channel_window_sum(x * x, size)
    return narrow_to(x / (total * (1.0 / size) * alpha + k) ** beta, float_dtype(input))


@local_response_norm_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5, 3)), 0.1, 0.75, 1.0, size=3)
    yield Sample(rng.normal(size=(2, 4, 3)), 0.1, 0.75, 1.0, size=2)
