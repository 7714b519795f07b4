"""Connectionist temporal classification.

A. Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data with
recurrent neural networks", ICML 2006: the forward and backward variables, in logarithms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import DTypeError, ShapeError, ValueRangeError
from jitorch.ir.literal import Literal
from jitorch.ir.types import TensorType
from jitorch.ops.create import literal
from jitorch.ops.helpers import narrow_to, require_float
from jitorch.ops.loss import reduced, reduction_of
from jitorch.ops.math import maximum, where
from jitorch.ops.registry import Sample, function, primitive
from jitorch.ops.structure import cast, reshape_to

Tensor = Any
Array = np.ndarray[Any, Any]


def _labels(targets: Array, target_lengths: Array, blank: int) -> tuple[Array, Array]:
    """Each target with blanks around every label, and where a step may skip the blank before."""
    batch, longest = targets.shape
    extended = np.full((batch, 2 * longest + 1), blank, np.int64)
    extended[:, 1::2] = np.where(np.arange(longest) < target_lengths[:, None], targets, blank)
    skips = np.zeros(extended.shape, bool)
    skips[:, 2:] = (extended[:, 2:] != blank) & (extended[:, 2:] != extended[:, :-2])
    return extended, skips


def _step(state: Array, skips: Array) -> Array:
    """The logarithm of the sum over staying, advancing by one and skipping a blank."""
    one, two = np.full_like(state, -np.inf), np.full_like(state, -np.inf)
    one[:, 1:], two[:, 2:] = state[:, :-1], state[:, :-2]
    return np.logaddexp(np.logaddexp(state, one), np.where(skips, two, -np.inf))


def _forward(scores: Array, skips: Array, input_lengths: Array) -> Array:
    """``alpha[t, n, s]``: the log-probability of all ways to be at ``s`` after step ``t``."""
    steps = len(scores)
    alpha = np.full(scores.shape, -np.inf)
    if steps == 0:
        return alpha
    alpha[0, :, :2] = scores[0, :, :2]
    for t in range(1, steps):
        running = (t < input_lengths)[:, None]
        alpha[t] = np.where(running, _step(alpha[t - 1], skips) + scores[t], alpha[t - 1])
    return alpha


def _scores(log_probs: Array, extended: Array) -> Array:
    return np.take_along_axis(log_probs.astype(np.float64), extended[None].repeat(len(log_probs), 0), 2)


def _totals(alpha: Array, input_lengths: Array, target_lengths: Array) -> Array:
    """The log-probability of each target."""
    batch = np.arange(alpha.shape[1])
    last = alpha[-1] if len(alpha) else np.full(alpha.shape[1:], -np.inf)
    end = 2 * target_lengths
    before = np.where(target_lengths > 0, last[batch, np.maximum(end - 1, 0)], -np.inf)
    total = np.logaddexp(last[batch, end], before)
    # Without a step, only the empty target is certain.
    return np.where(input_lengths == 0, np.where(target_lengths == 0, 0.0, -np.inf), total)


@primitive(lowering="extern")
def ctc_losses(
    log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor, *, blank: int
) -> Tensor:
    """Minus the log-probability of each target: ``[T, N, C]``, ``[N, S]``, ``[N]``, ``[N]`` to ``[N]``."""


@ctc_losses.type_rule
def _(log_probs, targets, input_lengths, target_lengths, *, blank):
    return _scores_type(log_probs).with_shape((log_probs.shape[1],))


def _scores_type(log_probs: TensorType) -> TensorType:
    if not log_probs.dtype.is_floating_point:
        raise DTypeError("ctc_loss: log-probabilities are floating point numbers", actual=log_probs)
    return log_probs


@ctc_losses.numpy
def _(log_probs, targets, input_lengths, target_lengths, *, blank):
    extended, skips = _labels(targets, target_lengths, blank)
    alpha = _forward(_scores(log_probs, extended), skips, input_lengths)
    return (-_totals(alpha, input_lengths, target_lengths)).astype(log_probs.dtype)


@ctc_losses.vjp
def _(g, out, log_probs, targets, input_lengths, target_lengths, *, blank):
    slope = ctc_slopes(log_probs, targets, input_lengths, target_lengths, blank=blank)
    return slope * reshape_to(g, shape=(1, g.shape[0], 1)), None, None, None


def _ctc_samples(rng: Any) -> Any:
    log_probs = np.log(rng.dirichlet(np.ones(4), size=(6, 2)))
    lengths = np.array([6, 5]), np.array([3, 1])
    yield Sample(log_probs, np.array([[1, 2, 2], [3, 0, 0]]), *lengths, blank=0)


ctc_losses.samples(_ctc_samples)


@primitive(lowering="extern")
def ctc_slopes(
    log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor, *, blank: int
) -> Tensor:
    """The derivative of `ctc_losses` by ``log_probs``: ``[T, N, C]``; it has no derivative of its own."""


@ctc_slopes.type_rule
def _(log_probs, targets, input_lengths, target_lengths, *, blank):
    return _scores_type(log_probs)


@ctc_slopes.numpy
def _(log_probs, targets, input_lengths, target_lengths, *, blank):
    steps, batch, classes = log_probs.shape
    extended, skips = _labels(targets, target_lengths, blank)
    scores = _scores(log_probs, extended)
    alpha = _forward(scores, skips, input_lengths)
    total = _totals(alpha, input_lengths, target_lengths)
    beta = _backward(scores, skips, input_lengths, target_lengths)
    with np.errstate(invalid="ignore"):
        share = np.exp(alpha + beta - scores - total[None, :, None])
    share = np.where(np.arange(steps)[:, None, None] < input_lengths[None, :, None], np.nan_to_num(share), 0.0)
    slopes = np.zeros((steps, batch, classes))
    t, n, _ = np.indices(share.shape)
    np.add.at(slopes, (t, n, np.broadcast_to(extended, share.shape)), share)
    return -slopes.astype(log_probs.dtype)


def _backward(scores: Array, skips: Array, input_lengths: Array, target_lengths: Array) -> Array:
    """``beta[t, n, s]``: the log-probability of all ways from ``s`` at step ``t`` to the end."""
    steps, batch, width = scores.shape
    beta = np.full(scores.shape, -np.inf)
    place = np.arange(width)
    final = (place == 2 * target_lengths[:, None]) | (place == 2 * target_lengths[:, None] - 1)
    leaps = np.zeros_like(skips)
    leaps[:, :-2] = skips[:, 2:]
    for t in reversed(range(steps)):
        ends = np.equal(t, input_lengths - 1)[:, None]
        nxt = beta[t + 1] if t + 1 < steps else np.full((batch, width), -np.inf)
        moved = _step(nxt[:, ::-1], leaps[:, ::-1])[:, ::-1]
        beta[t] = np.where(ends, np.where(final, 0.0, -np.inf), moved) + scores[t]
        beta[t] = np.where((t < input_lengths)[:, None], beta[t], -np.inf)
    return beta


@ctc_slopes.samples
def _(rng):
    for sample in _ctc_samples(rng):
        yield Sample(*sample.args, **sample.kwargs, grad=False)


def _as_lengths(name: str, lengths: Any, batch: Any) -> Tensor:
    if not hasattr(lengths, "ndim"):
        lengths = literal(value=Literal(np.asarray(lengths, np.int64).reshape(-1)))
    if lengths.dtype.category is not dtypes.Category.INT:
        raise DTypeError(f"ctc_loss: {name} must be integers", actual=lengths.type)
    lengths = reshape_to(lengths, shape=(lengths.numel(),))
    if not dims.equal(lengths.shape[0], batch):
        raise ShapeError(f"ctc_loss: one of {name} for each sequence", expected=batch, actual=lengths.type)
    return narrow_to(lengths, dtypes.int64)


def _padded_targets(targets: Tensor, target_lengths: Tensor, batch: Any) -> Tensor:
    """``[N, S]`` from targets that stand one after the other in a vector; their lengths are data: eager only."""
    if targets.ndim == 2:
        return targets
    flat, lengths = targets._data("ctc_loss of concatenated targets"), target_lengths._data("ctc_loss")
    if lengths.sum() > flat.size:
        raise ShapeError("ctc_loss: fewer targets than the lengths say", expected=lengths.sum(), actual=targets.type)
    rows = np.zeros((len(lengths), int(lengths.max(initial=0))), np.int64)
    for row, start, length in zip(rows, np.cumsum(lengths) - lengths, lengths):
        row[:length] = flat[start : start + length]
    return literal(value=Literal(rows))


@function(places=("nn",))
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log-probability that ``log_probs`` [T, N, C] (or [T, C]) spell the ``targets``.

    Targets are ``[N, S]``, padded, or one after the other in a vector.  The mean divides each loss by
    its target's length first.  ``zero_infinity`` turns a target that cannot be spelt into 0, with no
    gradient.  The gradient is that by ``log_probs`` as they are, not by logits under a softmax.
    """
    require_float("ctc_loss", log_probs)
    batched = log_probs.ndim == 3
    if log_probs.ndim not in (2, 3):
        raise ShapeError("ctc_loss: log_probs [T, N, C] or [T, C]", actual=log_probs.type)
    if not batched:
        log_probs = reshape_to(log_probs, shape=(log_probs.shape[0], 1, log_probs.shape[1]))
    classes = log_probs.shape[2]
    if not blank >= 0 or dims.less_equal(classes, blank):
        raise ValueRangeError("ctc_loss: blank is no class", expected=f"0 to {classes} - 1", actual=blank)
    batch = log_probs.shape[1]
    input_lengths = _as_lengths("input_lengths", input_lengths, batch)
    target_lengths = _as_lengths("target_lengths", target_lengths, batch)
    targets = targets if batched or targets.ndim != 1 else reshape_to(targets, shape=(1, targets.shape[0]))
    labels = narrow_to(_padded_targets(targets, target_lengths, batch), dtypes.int64)
    losses = ctc_losses(log_probs, labels, input_lengths, target_lengths, blank=int(blank))
    if zero_infinity:
        losses = where(losses == float("inf"), 0.0, losses)
    how = reduction_of("ctc_loss", reduction)
    if how == "mean":
        losses = losses / cast(maximum(target_lengths, 1), dtype=losses.dtype)
    out = reduced(losses, how)
    return reshape_to(out, shape=()) if not batched else out


@ctc_loss.samples
def _(rng):
    logits = rng.normal(size=(6, 2, 4))
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    lengths = np.array([6, 5]), np.array([3, 1])
    yield Sample(log_probs, np.array([[1, 2, 2], [3, 0, 0]]), *lengths)
    yield Sample(log_probs, np.array([1, 2, 2, 3]), (6, 5), (3, 1), reduction="sum", trace=False)
    yield Sample(log_probs[:, 0].copy(), np.array([1, 2]), (6,), (2,), reduction="none")
