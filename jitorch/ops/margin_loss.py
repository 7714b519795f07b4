"""Losses with a margin: hinge, ranking, triplet and multi-label losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.errors import DTypeError, ShapeError, ValueRangeError
from jitorch.ops.activation import logsigmoid_op
from jitorch.ops.cross_entropy import pick_class
from jitorch.ops.distance import pairwise_distance
from jitorch.ops.gather import gather_axis, scatter_axis, take
from jitorch.ops.helpers import as_float, filled, float_dtype, mean_over, narrow_to, number_of, ramp, require_float
from jitorch.ops.loss import reduced, reduction_of, require_same_shape
from jitorch.ops.math import maximum, minimum, sqrt, where
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import cast, reduce_sum, reshape_to

Tensor = Any

NN = ("nn",)


def _signs(rng: Any, *shape: int) -> Any:
    return rng.choice([-1, 1], size=shape)


# ---- two inputs and a sign ----------------------------------------------------------------------------------
@op(name="margin_ranking_loss", places=())
def margin_ranking_loss_op(input1: Tensor, input2: Tensor, target: Tensor, margin: float, *, reduction: str) -> Tensor:
    """``max(0, -target * (input1 - input2) + margin)``."""
    return reduced(maximum(-target * (input1 - input2) + margin, 0.0), reduction)


@margin_ranking_loss_op.samples
def _(rng):
    yield Sample(rng.normal(size=(4,)), rng.normal(size=(4,)), _signs(rng, 4), 0.5, reduction="mean")


@function(places=NN)
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, -target * (input1 - input2) + margin)``: ``target`` 1 wants ``input1`` greater, -1 lesser."""
    if input1.ndim != input2.ndim or input1.ndim != target.ndim:
        raise ShapeError(
            "margin_ranking_loss: as many axes in all", expected=input1.type, actual=f"{input2.type}, {target.type}"
        )
    reduction = reduction_of("margin_ranking_loss", reduction, size_average, reduce)
    return margin_ranking_loss_op(input1, input2, target, margin, reduction=reduction)


@margin_ranking_loss.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 4)), rng.normal(size=(2, 4)), _signs(rng, 2, 4), margin=0.3)


@op(name="hinge_embedding_loss", places=())
def hinge_embedding_loss_op(input: Tensor, target: Tensor, margin: float, *, reduction: str) -> Tensor:
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1."""
    similar = where(target == 1, input, 0.0)
    different = where(target == -1, maximum(margin - input, 0.0), 0.0)
    both = where((target != 1) & (target != -1), input + maximum(margin - input, 0.0), similar + different)
    return reduced(both, reduction)


@hinge_embedding_loss_op.samples
def _(rng):
    yield Sample(rng.uniform(size=(4,)), _signs(rng, 4), 1.0, reduction="sum")


@function(places=NN)
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1."""
    reduction = reduction_of("hinge_embedding_loss", reduction, size_average, reduce)
    return hinge_embedding_loss_op(input, target, margin, reduction=reduction)


@hinge_embedding_loss.samples
def _(rng):
    yield Sample(rng.uniform(size=(2, 4)), _signs(rng, 2, 4))


@op(name="cosine_embedding_loss", places=())
def cosine_embedding_loss_op(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float, *, reduction: str
) -> Tensor:
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1."""
    dtype = float_dtype(input1 * input2)
    input1, input2, last = as_float(input1), as_float(input2), (input1.ndim - 1,)
    product = reduce_sum(input1 * input2, axes=last)
    squares = (reduce_sum(x * x, axes=last) + 1e-12 for x in (input1, input2))
    cosine = product / sqrt(next(squares) * next(squares))
    loss = where(target == 1, 1.0 - cosine, where(target == -1, maximum(cosine - margin, 0.0), 0.0))
    return narrow_to(reduced(loss, reduction), dtype)


@cosine_embedding_loss_op.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), _signs(rng, 4), 0.1, reduction="mean")


@function(places=NN)
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """For rows ``[N, D]`` (or ``[D]``): ``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1."""
    if target.ndim > 1 or input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise ShapeError(
            "cosine_embedding_loss: inputs [N, D] and target [N], or [D] and []",
            actual=f"{input1.type}, {input2.type}, {target.type}",
        )
    reduction = reduction_of("cosine_embedding_loss", reduction, size_average, reduce)
    return cosine_embedding_loss_op(input1, input2, target, margin, reduction=reduction)


@cosine_embedding_loss.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), _signs(rng, 4))


@op(name="soft_margin_loss", places=())
def soft_margin_loss_op(input: Tensor, target: Tensor, *, reduction: str) -> Tensor:
    """``log(1 + exp(-target * input))``."""
    return reduced(-logsigmoid_op(target * input), reduction)


@soft_margin_loss_op.samples
def _(rng):
    yield Sample(rng.normal(size=(4,)), _signs(rng, 4), reduction="mean")


@function(places=NN)
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``log(1 + exp(-target * input))`` with targets 1 and -1."""
    require_float("soft_margin_loss", input)
    reduction = reduction_of("soft_margin_loss", reduction, size_average, reduce)
    return soft_margin_loss_op(input, target, reduction=reduction)


@soft_margin_loss.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 4)), _signs(rng, 2, 4))


# ---- triplets -----------------------------------------------------------------------------------------------
def _triplet(positive: Tensor, negative: Tensor, margin: Any, reduction: str) -> Tensor:
    return reduced(maximum(positive - negative + margin, 0.0), reduction)


@function(places=NN)
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` with the distances of `pairwise_distance`.

    ``swap`` takes ``d(positive, negative)`` where it is the smaller.  Balntas et al., BMVC 2016.
    """
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            "triplet_margin_loss: as many axes in all", expected=anchor.type, actual=f"{positive.type}, {negative.type}"
        )
    if isinstance(margin, (int, float)) and margin <= 0:
        raise ValueRangeError("triplet_margin_loss: the margin must be positive", actual=margin)
    reduction = reduction_of("triplet_margin_loss", reduction, size_average, reduce)
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return _triplet(near, far, margin, reduction)


@function(places=NN)
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any ``distance_function``, by default `pairwise_distance`."""
    distance = pairwise_distance if distance_function is None else distance_function
    if isinstance(margin, (int, float)) and margin <= 0:
        raise ValueRangeError("triplet_margin_with_distance_loss: the margin must be positive", actual=margin)
    reduction = reduction_of("triplet_margin_with_distance_loss", reduction)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return _triplet(near, far, margin, reduction)


for _entry in (triplet_margin_loss, triplet_margin_with_distance_loss):

    @_entry.samples
    def _(rng):
        yield Sample(*(rng.normal(size=(4, 3)) for _ in range(3)))
        yield Sample(*(rng.normal(size=(4, 3)) for _ in range(3)), margin=0.5, swap=True, reduction="sum")


# ---- classes ------------------------------------------------------------------------------------------------
@op(name="multi_margin_loss", places=())
def multi_margin_loss_op(
    input: Tensor, target: Tensor, weight: Tensor | None, margin: float, *, p: int, reduction: str
) -> Tensor:
    """``sum over i != y of max(0, margin - x[y] + x[i]) ** p / C``."""
    axis = input.ndim - 1
    own = reshape_to(pick_class(input, target), shape=(*target.shape, 1))
    terms = maximum(margin - own + input, 0.0)
    terms = terms if p == 1 else terms * terms
    if weight is not None:
        terms = terms * reshape_to(take(weight, target, axis=0), shape=(*target.shape, 1))
    other = ramp(input.shape[axis], axis, input.ndim) != reshape_to(target, shape=(*target.shape, 1))
    loss = mean_over(where(other, terms, 0.0), (axis,))
    return reduced(reshape_to(loss, shape=tuple(target.shape)), reduction)


@multi_margin_loss_op.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.integers(0, 4, size=(3,)), None, 1.0, p=1, reduction="mean")
    yield Sample(
        rng.normal(size=(3, 4)), rng.integers(0, 4, size=(3,)), rng.uniform(size=(4,)), 1.0, p=2, reduction="none"
    )


@function(places=NN)
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Hinge loss over classes: ``input`` [N, C] or [C], ``target`` class indices [N] or []; ``p`` is 1 or 2."""
    require_float("multi_margin_loss", input, weight)
    if p not in (1, 2):
        raise ValueRangeError("multi_margin_loss: unknown exponent", expected="1 or 2", actual=p)
    if target.dtype is not dtypes.int64:
        raise DTypeError("multi_margin_loss: class indices must be int64", expected="int64", actual=target.type)
    reduction = reduction_of("multi_margin_loss", reduction, size_average, reduce)
    if input.ndim == 0:
        input = reshape_to(input, shape=(1,))
    if input.ndim == 1 and target.ndim == 1:
        target = reshape_to(target, shape=())
    if input.ndim not in (1, 2) or target.ndim != input.ndim - 1:
        raise ShapeError("multi_margin_loss: input [N, C] and target [N]", actual=f"{input.type}, {target.type}")
    return multi_margin_loss_op(input, target, weight, margin, p=p, reduction=reduction)


@multi_margin_loss.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.integers(0, 4, size=(3,)))
    yield Sample(rng.normal(size=(4,)), rng.integers(0, 4, size=()), p=2)


@op(name="multilabel_margin_loss", places=())
def multilabel_margin_loss_op(input: Tensor, target: Tensor, *, reduction: str) -> Tensor:
    """``sum of max(0, 1 - x[y] + x[i]) / C`` over labels y, which a first -1 ends, and classes i that are no label."""
    classes = input.shape[1]
    # A label counts while no negative one came before it.
    rows, columns = ramp(classes, 1, 3), ramp(classes, 2, 3)
    ended = reshape_to(cast(target < 0, dtype=dtypes.int64), shape=(target.shape[0], 1, classes))
    before = reduce_sum(where(columns <= rows, ended, 0), axes=(2,))
    valid = before == 0
    index = where(valid, target, 0)
    zeros = filled(0, dtypes.int64, target.shape)
    is_label = scatter_axis(zeros, index, cast(valid, dtype=dtypes.int64), axis=1, accumulate=True) > 0
    own = gather_axis(input, index, axis=1)
    terms = maximum(
        1.0 - reshape_to(own, shape=(*own.shape, 1)) + reshape_to(input, shape=(input.shape[0], 1, classes)), 0.0
    )
    counted = reshape_to(valid, shape=(*valid.shape, 1)) & ~reshape_to(is_label, shape=(input.shape[0], 1, classes))
    total = reduce_sum(where(counted, terms, 0.0), axes=(1, 2))
    return reduced(total / number_of(classes), reduction)


@multilabel_margin_loss_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 4)), np.array([[3, 0, -1, 1], [2, -1, -1, -1]]), reduction="mean")


@function(places=NN)
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Hinge loss over classes and several labels: [N, C] or [C] each; a first -1 ends the labels of a row."""
    require_float("multilabel_margin_loss", input)
    require_same_shape("multilabel_margin_loss", input, target)
    if input.ndim > 2:
        raise ShapeError("multilabel_margin_loss: input [N, C] or [C]", actual=input.type)
    reduction = reduction_of("multilabel_margin_loss", reduction, size_average, reduce)
    rows, columns = (1, input.numel()) if input.ndim < 2 else input.shape
    x, labels = (reshape_to(v, shape=(rows, columns)) for v in (input, target))
    out = multilabel_margin_loss_op(x, labels, reduction=reduction)
    return reshape_to(out, shape=()) if input.ndim < 2 else out


@multilabel_margin_loss.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 4)), np.array([[3, 0, -1, 1], [2, -1, -1, -1]]))
    yield Sample(rng.normal(size=(3,)), np.array([1, -1, 0]))


@op(name="multilabel_soft_margin_loss", places=())
def multilabel_soft_margin_loss_op(input: Tensor, target: Tensor, weight: Tensor | None, *, reduction: str) -> Tensor:
    """The mean over classes (the last axis) of ``-(t * logsigmoid(x) + (1 - t) * logsigmoid(-x))``."""
    loss = -(target * logsigmoid_op(input) + (1.0 - target) * logsigmoid_op(-input))
    if weight is not None:
        loss = loss * weight
    axis = loss.ndim - 1
    return reduced(reshape_to(mean_over(loss, (axis,)), shape=tuple(loss.shape[:-1])), reduction)


@multilabel_soft_margin_loss_op.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.uniform(size=(3, 4)), rng.uniform(size=(4,)), reduction="mean")


@function(places=NN)
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy of each class with its own 0 or 1, meaned over classes."""
    require_float("multilabel_soft_margin_loss", input, weight)
    require_same_shape("multilabel_soft_margin_loss", input, target)
    reduction = reduction_of("multilabel_soft_margin_loss", reduction, size_average, reduce)
    return multilabel_soft_margin_loss_op(input, target, weight, reduction=reduction)


@multilabel_soft_margin_loss.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.uniform(size=(3, 4)))
