"""Loss functions that compare an input with a target of the same shape.

Every public name takes PyTorch's ``reduction`` (``"none"``, ``"mean"``, ``"sum"``) and its older spelling
by ``size_average`` and ``reduce``.
"""

from __future__ import annotations

import math
from typing import Any

from jitorch import dims
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.ops.activation import logsigmoid_op
from jitorch.ops.helpers import count_over, filled, narrow_to, require_float, widen
from jitorch.ops.math import abs, exp, log, log1p, maximum, where
from jitorch.ops.normalize import is_number
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import copy, reduce_sum, reshape_to

Tensor = Operand = Any

NN = ("nn",)


def reduction_of(name: str, reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> str:
    """The name of the reduction, from today's argument or the two older ones."""
    if size_average is not None or reduce is not None:
        if reduce is False:
            return "none"
        return "sum" if size_average is False else "mean"
    if reduction not in ("none", "mean", "sum"):
        raise ValueRangeError(f"{name}: unknown reduction", expected="'none', 'mean' or 'sum'", actual=repr(reduction))
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """``loss``, its mean or its sum."""
    if reduction == "none":
        return loss
    axes = tuple(range(loss.ndim))
    total = reduce_sum(loss, axes=axes) if axes else copy(loss)
    return total / count_over(loss, axes) if reduction == "mean" else total


def require_same_shape(name: str, input: Tensor, target: Tensor) -> None:
    if input.ndim != target.ndim or not all(map(dims.equal, input.shape, target.shape)):
        raise ShapeError(f"{name}: input and target must have one shape", expected=input.type, actual=target.type)


def _pair(rng: Any) -> Any:
    for reduction in ("mean", "sum", "none"):
        yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), reduction=reduction)
    yield Sample(rng.normal(size=()), rng.normal(size=()))


def _weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """The reduction of ``loss`` times ``weight``; the mean is over the sum of the weights."""
    if weight is None:
        return reduced(loss, reduction)
    loss = loss * weight
    if reduction != "mean":
        return reduced(loss, reduction)
    return reduced(loss, "sum") / reduced(weight + loss * 0.0, "sum")


# ---- regression ---------------------------------------------------------------------------------------
@op(name="mse_loss", places=())
def mse_loss_op(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Squared difference."""
    difference = widen(input) - widen(target)
    return narrow_to(reduced(difference * difference, reduction), (input - target).dtype)


mse_loss_op.samples(_pair)


@function(places=NN)
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared difference of ``input`` and ``target``, which broadcast."""
    require_float("mse_loss", input)
    reduction = reduction_of("mse_loss", reduction, size_average, reduce)
    if weight is not None:
        return _weighted(mse_loss_op(input, target, reduction="none"), weight, reduction)
    return mse_loss_op(input, target, reduction=reduction)


mse_loss.samples(_pair)


@op(name="l1_loss", places=())
def l1_loss_op(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Absolute difference."""
    return narrow_to(reduced(abs(widen(input) - widen(target)), reduction), (input - target).dtype)


l1_loss_op.samples(_pair)


@function(places=NN)
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Absolute difference of ``input`` and ``target``, which broadcast."""
    require_float("l1_loss", input)
    reduction = reduction_of("l1_loss", reduction, size_average, reduce)
    if weight is not None:
        return _weighted(l1_loss_op(input, target, reduction="none"), weight, reduction)
    return l1_loss_op(input, target, reduction=reduction)


l1_loss.samples(_pair)


def _quadratic_then_linear(difference: Tensor, delta: Any, quadratic: Any, linear: Any) -> Tensor:
    distance = abs(difference)
    near = distance < delta
    # The branch not taken sees 0, so that a delta of 0 or infinity makes no NaN in a gradient.
    inner = where(near, difference, 0.0)
    return where(near, quadratic(inner), linear(distance))


@op(name="smooth_l1_loss", places=())
def smooth_l1_loss_op(input: Tensor, target: Tensor, beta: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """``0.5 * d**2 / beta`` for a distance ``d < beta``, else ``d - 0.5 * beta``."""
    difference = widen(input) - widen(target)
    loss = _quadratic_then_linear(difference, beta, lambda d: 0.5 * d * d / beta, lambda d: d - 0.5 * beta)
    return narrow_to(reduced(loss, reduction), (input - target).dtype)


smooth_l1_loss_op.samples(_pair)


@function(places=NN)
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Quadratic below a distance of ``beta``, linear above.  Girshick, 2015 (arXiv:1504.08083)."""
    require_float("smooth_l1_loss", input)
    reduction = reduction_of("smooth_l1_loss", reduction, size_average, reduce)
    if is_number(beta):
        if beta < 0:
            raise ValueRangeError("smooth_l1_loss: beta must not be negative", expected="beta >= 0", actual=beta)
        if beta == 0:
            return l1_loss_op(input, target, reduction=reduction)
    return smooth_l1_loss_op(input, target, beta, reduction=reduction)


@smooth_l1_loss.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)) * 2, rng.normal(size=(3, 4)))
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(4,)), beta=0.3, reduction="sum")


@op(name="huber_loss", places=())
def huber_loss_op(input: Tensor, target: Tensor, delta: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """``0.5 * d**2`` for a distance ``d < delta``, else ``delta * (d - 0.5 * delta)``."""
    difference = widen(input) - widen(target)
    loss = _quadratic_then_linear(difference, delta, lambda d: 0.5 * d * d, lambda d: delta * (d - 0.5 * delta))
    return narrow_to(reduced(loss, reduction), (input - target).dtype)


huber_loss_op.samples(_pair)


@function(places=NN)
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Quadratic below a distance of ``delta``, linear above.  Huber, 1964."""
    require_float("huber_loss", input)
    reduction = reduction_of("huber_loss", reduction)
    if is_number(delta) and delta <= 0:
        raise ValueRangeError("huber_loss: delta must be positive", expected="delta > 0", actual=delta)
    if weight is not None:
        return _weighted(huber_loss_op(input, target, delta, reduction="none"), weight, reduction)
    return huber_loss_op(input, target, delta, reduction=reduction)


@huber_loss.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)) * 2, rng.normal(size=(3, 4)))
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), delta=0.3, reduction="none")


# ---- probabilities --------------------------------------------------------------------------------------
@op(places=())
def bernoulli_cross_entropy(p: Tensor, t: Tensor) -> Tensor:
    """``-(t * log(p) + (1 - t) * log(1 - p))``, logarithms no less than -100, so that 0 and 1 stay finite."""
    return -(t * maximum(log(p), -100.0) + (1.0 - t) * maximum(log1p(-p), -100.0))


@bernoulli_cross_entropy.vjp
def _(g, out, p, t):
    by_target = maximum(log1p(-p), -100.0) - maximum(log(p), -100.0)
    return g * (p - t) / maximum(p * (1.0 - p), 1e-12), g * by_target


@bernoulli_cross_entropy.samples
def _(rng):
    yield Sample(rng.uniform(0.1, 0.9, size=(3, 4)), rng.uniform(size=(3, 4)))


@op(name="binary_cross_entropy", places=())
def binary_cross_entropy_op(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Cross entropy of probabilities ``input`` with targets in 0 .. 1."""
    loss = bernoulli_cross_entropy(widen(input), narrow_to(target, widen(input).dtype))
    return narrow_to(reduced(loss if weight is None else loss * weight, reduction), input.dtype)


@binary_cross_entropy_op.samples
def _(rng):
    yield Sample(rng.uniform(0.1, 0.9, size=(3, 4)), rng.uniform(size=(3, 4)), rng.uniform(size=(4,)))
    yield Sample(rng.uniform(0.1, 0.9, size=(3, 4)), rng.uniform(size=(3, 4)), reduction="none")


@function(places=NN)
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy of probabilities ``input`` with targets in 0 .. 1; logarithms are no less than -100."""
    require_float("binary_cross_entropy", input, target)
    require_same_shape("binary_cross_entropy", input, target)
    array = input._array
    if array is not None and array.size and not bool(((array >= 0) & (array <= 1)).all()):
        raise ValueRangeError(
            "binary_cross_entropy: the input must be probabilities", expected="0 to 1",
            actual=f"{array.min()} to {array.max()}", hint="binary_cross_entropy_with_logits takes any numbers",
        )  # fmt: skip
    reduction = reduction_of("binary_cross_entropy", reduction, size_average, reduce)
    return binary_cross_entropy_op(input, target, weight, reduction=reduction)


@binary_cross_entropy.samples
def _(rng):
    yield Sample(rng.uniform(0.1, 0.9, size=(3, 4)), rng.uniform(size=(3, 4)))


@op(name="binary_cross_entropy_with_logits", places=())
def binary_cross_entropy_with_logits_op(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """``(1 - t) * x + (1 + (w - 1) * t) * log(1 + exp(-x))`` with ``w`` the weight of positives."""
    x, t = widen(input), widen(target)
    loss = (1.0 - t) * x
    soft = -logsigmoid_op(x)
    loss = loss + (soft if pos_weight is None else (1.0 + (widen(pos_weight) - 1.0) * t) * soft)
    if weight is not None:
        loss = loss * widen(weight)
    return narrow_to(reduced(loss, reduction), input.dtype)


@binary_cross_entropy_with_logits_op.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.uniform(size=(3, 4)), rng.uniform(size=(4,)), rng.uniform(size=(4,)))
    yield Sample(rng.normal(size=(3,)) * 100, rng.uniform(size=(3,)), reduction="none")


@function(places=NN)
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Cross entropy of ``sigmoid(input)`` with targets in 0 .. 1, without overflow."""
    require_float("binary_cross_entropy_with_logits", input, target)
    require_same_shape("binary_cross_entropy_with_logits", input, target)
    reduction = reduction_of("binary_cross_entropy_with_logits", reduction, size_average, reduce)
    return binary_cross_entropy_with_logits_op(input, target, weight, pos_weight, reduction=reduction)


@binary_cross_entropy_with_logits.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.uniform(size=(3, 4)))
    yield Sample(rng.normal(size=(3, 4)), rng.uniform(size=(3, 4)), pos_weight=rng.uniform(size=(4,)), reduction="sum")


@op(name="kl_div", places=())
def kl_div_op(input: Tensor, target: Tensor, *, log_target: bool, reduction: str) -> Tensor:
    """``t * (log(t) - input)``, 0 where ``t`` is 0; with ``log_target``, ``exp(t) * (t - input)``."""
    x, t = widen(input), widen(target)
    if log_target:
        loss = exp(t) * (t - x)
    else:
        positive = t > 0
        loss = where(positive, t * (log(where(positive, t, 1.0)) - x), -t * x)
    return narrow_to(reduced(loss, reduction), (input - target).dtype)


@kl_div_op.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.uniform(0.1, 1, size=(3, 4)), log_target=False, reduction="sum")
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), log_target=True, reduction="mean")


@function(places=NN)
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence of log-probabilities ``input`` from ``target``; ``"batchmean"`` divides by N."""
    require_float("kl_div", input, target)
    if reduction == "batchmean" and size_average is None and reduce is None:
        total = kl_div_op(input, target, log_target=log_target, reduction="sum")
        return total / count_over(input, (0,)) if input.ndim else total
    reduction = reduction_of("kl_div", reduction, size_average, reduce)
    return kl_div_op(input, target, log_target=log_target, reduction=reduction)


@kl_div.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.uniform(0.1, 1, size=(3, 4)), reduction="batchmean")
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), log_target=True)


@op(name="poisson_nll_loss", places=())
def poisson_nll_loss_op(
    input: Tensor, target: Tensor, eps: float = 1e-8, *, log_input: bool, full: bool, reduction: str
) -> Tensor:
    """``exp(x) - t * x`` or ``x - t * log(x + eps)``; ``full`` adds Stirling's approximation of ``log(t!)``."""
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        more = target > 1
        t = where(more, target, 1.0)
        loss = loss + where(more, t * log(t) - t + 0.5 * log(2 * math.pi * t), 0.0)
    return reduced(loss, reduction)


@poisson_nll_loss_op.samples
def _(rng):
    yield Sample(rng.normal(size=(3,)), rng.uniform(0, 5, size=(3,)), log_input=True, full=True, reduction="mean")
    yield Sample(rng.uniform(1, 2, size=(3,)), rng.uniform(size=(3,)), log_input=False, full=False, reduction="none")


@function(places=NN)
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of counts ``target`` under rates ``exp(input)`` (or ``input``)."""
    reduction = reduction_of("poisson_nll_loss", reduction, size_average, reduce)
    return poisson_nll_loss_op(input, target, eps, log_input=log_input, full=full, reduction=reduction)


@poisson_nll_loss.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.uniform(0, 5, size=(3, 4)), full=True)


@op(name="gaussian_nll_loss", places=())
def gaussian_nll_loss_op(
    input: Tensor, target: Tensor, var: Tensor, eps: float = 1e-6, *, full: bool, reduction: str
) -> Tensor:
    """``0.5 * (log(v) + (input - target)**2 / v)`` with ``v = max(var, eps)``, whose limit has no gradient."""
    v = limit_below(var, eps)
    difference = input - target
    loss = 0.5 * (log(v) + difference * difference / v)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


@op(places=())
def limit_below(x: Tensor, low: float) -> Tensor:
    """``max(x, low)``; the gradient passes as if there were no limit."""
    return maximum(x, low)


@limit_below.vjp
def _(g, out, x, low):
    return (g,)


@limit_below.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 0.0, grad=False)


@gaussian_nll_loss_op.samples
def _(rng):
    yield Sample(
        rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.uniform(1, 2, size=(3, 4)), full=True, reduction="mean"
    )


@function(places=NN)
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of ``target`` under normal distributions of mean ``input`` and variance ``var``.

    ``var`` is a number, has the shape of ``input``, or lacks (or has size 1 at) its last axis.
    """
    require_float("gaussian_nll_loss", input)
    reduction = reduction_of("gaussian_nll_loss", reduction)
    if not hasattr(var, "ndim"):
        if is_number(var) and var < 0:
            raise ValueRangeError("gaussian_nll_loss: the variance must not be negative", actual=var)
        var = filled(0.0, input.dtype, input.shape) + var
    elif tuple(var.shape) != tuple(input.shape):
        if tuple(var.shape) == tuple(input.shape[:-1]):
            var = reshape_to(var, shape=(*var.shape, 1))
        elif tuple(var.shape) != (*input.shape[:-1], 1):
            raise ShapeError("gaussian_nll_loss: the variance does not fit", expected=input.type, actual=var.type)
    if var._array is not None and bool((var._array < 0).any()):
        raise ValueRangeError("gaussian_nll_loss: the variance must not be negative", actual=var._array.min())
    return gaussian_nll_loss_op(input, target, var, eps, full=full, reduction=reduction)


@gaussian_nll_loss.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.uniform(1, 2, size=(3, 4)))
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.uniform(1, 2, size=(3,)), full=True)
