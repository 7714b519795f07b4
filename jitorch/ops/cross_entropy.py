"""Losses over classes: negative log-likelihood and cross entropy."""

from __future__ import annotations

from typing import Any

from jitorch import dims, dtypes
from jitorch.errors import DTypeError, ShapeError, TensorIndexError, ValueRangeError
from jitorch.ops.embedding import from_start
from jitorch.ops.gather import gather_axis, take
from jitorch.ops.helpers import at_axis, narrow_to, number_of, ramp, require_float, widen
from jitorch.ops.loss import reduced, reduction_of
from jitorch.ops.math import where
from jitorch.ops.normalize import is_number
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.softmax import log_softmax_op
from jitorch.ops.structure import cast, reduce_sum, reshape_to

Tensor = Any

NN = ("nn",)


def _class_axis(x: Tensor) -> int:
    return 0 if x.ndim == 1 else 1


def _with_class_axis(target: Tensor, axis: int) -> Tensor:
    return reshape_to(target, shape=(*target.shape[:axis], 1, *target.shape[axis:]))


@op(places=())
def pick_class(x: Tensor, target: Tensor) -> Tensor:
    """The element of ``x`` ([C] or [N, C, *]) that ``target`` ([] or [N, *]) names, class axis dropped.

    Its gradient is written as a comparison with the class number, which fuses, where a scatter would not.
    """
    axis = _class_axis(x)
    picked = gather_axis(x, _with_class_axis(from_start(target, x.shape[axis]), axis), axis=axis)
    return reshape_to(picked, shape=tuple(target.shape))


@pick_class.vjp
def _(g, out, x, target):
    axis = _class_axis(x)
    chosen = ramp(x.shape[axis], axis, x.ndim, target.dtype) == _with_class_axis(target, axis)
    return where(chosen, _with_class_axis(g, axis), 0.0), None


@pick_class.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.integers(0, 4, size=(3,)))
    yield Sample(rng.normal(size=(2, 4, 3)), rng.integers(0, 4, size=(2, 3)))
    yield Sample(rng.normal(size=(4,)), rng.integers(0, 4, size=()))


def _sample_weights(x: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> tuple[Tensor, Tensor]:
    """The class index made safe, and each sample's weight: that of its class, 0 where it is ignored."""
    ignored = target == ignore_index
    safe = where(ignored, 0, target)
    if weight is None:
        return safe, cast(target != ignore_index, dtype=x.dtype)
    found = take(widen(weight), from_start(safe, weight.shape[0]), axis=0)
    return safe, where(ignored, 0.0, found)


def _reduced_by_weight(loss: Tensor, weights: Tensor, reduction: str) -> Tensor:
    if reduction != "mean":
        return reduced(loss, reduction)
    return reduced(loss, "sum") / reduced(weights, "sum")


@op(name="nll_loss", places=())
def nll_loss_op(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """Minus the log-probability of the target class, times the class's weight."""
    x = widen(input)
    safe, weights = _sample_weights(x, target, weight, ignore_index)
    loss = where(weights == 0.0, 0.0, -pick_class(x, safe) * weights)
    return narrow_to(_reduced_by_weight(loss, weights, reduction), input.dtype)


@nll_loss_op.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 4)), rng.integers(0, 4, size=(5,)))
    yield Sample(rng.normal(size=(2, 4, 3)), rng.integers(0, 4, size=(2, 3)), reduction="none")
    yield Sample(
        rng.normal(size=(5, 4)), rng.integers(0, 4, size=(5,)), rng.uniform(0.5, 1, size=(4,)), ignore_index=1,
        reduction="sum",
    )  # fmt: skip


def _check_classes(name: str, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> None:
    require_float(name, input, weight)
    if input.ndim == 0:
        raise ShapeError(f"{name}: the input needs an axis of classes", expected="[C] or [N, C, *]", actual=input.type)
    axis = _class_axis(input)
    expected = (*input.shape[:axis], *input.shape[axis + 1 :])
    if target.ndim != len(expected) or not all(map(dims.equal, target.shape, expected)):
        raise ShapeError(
            f"{name}: input and target do not fit", expected=f"target of shape {expected}", actual=target.type
        )
    if target.dtype not in (dtypes.int64, dtypes.int32, dtypes.uint8):
        raise DTypeError(f"{name}: class indices must be int64", expected="int64", actual=target.type)
    classes = input.shape[axis]
    if weight is not None and (weight.ndim != 1 or not dims.equal(weight.shape[0], classes)):
        raise ShapeError(f"{name}: one weight for each class", expected=f"({classes},)", actual=weight.type)
    array = target._array
    if array is None or not isinstance(classes, int):
        return
    bad = (array != ignore_index) & ((array < 0) | (array >= classes))
    if bad.any():
        raise TensorIndexError(
            f"{name}: a target class is out of range", expected=f"0 to {classes - 1}", actual=int(array[bad].flat[0])
        )


def _as_index(target: Tensor) -> Tensor:
    return target if target.dtype is not dtypes.uint8 else cast(target, dtype=dtypes.int64)


@function(places=NN)
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood: ``input`` ([C] or [N, C, *]) are log-probabilities, ``target`` class indices.

    The mean is over the weights of the samples that are not ignored.
    """
    reduction = reduction_of("nll_loss", reduction, size_average, reduce)
    _check_classes("nll_loss", input, target, weight, ignore_index)
    return nll_loss_op(input, _as_index(target), weight, ignore_index=ignore_index, reduction=reduction)


@nll_loss.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 4)), rng.integers(0, 4, size=(5,)))
    yield Sample(rng.normal(size=(2, 4, 3, 2)), rng.integers(0, 4, size=(2, 3, 2)), rng.uniform(size=(4,)))


@op(name="cross_entropy", places=())
def cross_entropy_op(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """`nll_loss` of `log_softmax`, for class indices."""
    logits = log_softmax_op(widen(input), axis=_class_axis(input))
    loss = nll_loss_op(logits, target, weight, ignore_index=ignore_index, reduction=reduction)
    return narrow_to(loss, input.dtype)


@cross_entropy_op.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 4)), rng.integers(0, 4, size=(5,)))
    yield Sample(rng.normal(size=(2, 4, 3)), rng.integers(0, 4, size=(2, 3)), rng.uniform(size=(4,)), reduction="sum")
    yield Sample(rng.normal(size=(4,)), rng.integers(0, 4, size=()), reduction="none")


@op(places=())
def smoothed_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy with targets moved towards uniform by ``label_smoothing``.  Szegedy, 2015 (arXiv:1512.00567)."""
    axis = _class_axis(input)
    logits = log_softmax_op(widen(input), axis=axis)
    safe, weights = _sample_weights(logits, target, weight, ignore_index)
    hard = where(weights == 0.0, 0.0, -pick_class(logits, safe) * weights)
    each = logits if weight is None else logits * at_axis(widen(weight), axis, input.ndim)
    uniform = where(target == ignore_index, 0.0, -reduce_sum(each, axes=(axis,)))
    hard, uniform = (_reduced_by_weight(x, weights, reduction) for x in (hard, uniform))
    share = label_smoothing / number_of(input.shape[axis])
    return narrow_to((1.0 - label_smoothing) * hard + share * uniform, input.dtype)


@smoothed_cross_entropy.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 4)), rng.integers(0, 4, size=(5,)), None, 0.1)
    yield Sample(rng.normal(size=(5, 4)), rng.integers(0, 4, size=(5,)), rng.uniform(size=(4,)), 0.2, reduction="none")


@op(places=())
def soft_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    *,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy with a probability for each class; the mean is over the samples."""
    axis = _class_axis(input)
    logits = log_softmax_op(widen(input), axis=axis)
    share = label_smoothing / number_of(input.shape[axis])
    terms = logits * (widen(target) * (1.0 - label_smoothing) + share)
    if weight is not None:
        terms = terms * at_axis(widen(weight), axis, input.ndim)
    loss = -reduce_sum(terms, axes=(axis,))
    return narrow_to(reduced(loss, reduction), input.dtype)


@soft_cross_entropy.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 4)), rng.uniform(size=(5, 4)), rng.uniform(size=(4,)), 0.1)
    yield Sample(rng.normal(size=(2, 4, 3)), rng.uniform(size=(2, 4, 3)), reduction="sum")


@function(places=NN)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of logits ``input`` ([C] or [N, C, *]) with class indices, or with a probability for each class.

    ``target`` has the shape of ``input`` for probabilities, and lacks the class axis for indices.
    """
    reduction = reduction_of("cross_entropy", reduction, size_average, reduce)
    smooth = not is_number(label_smoothing) or label_smoothing != 0
    if is_number(label_smoothing) and not 0.0 <= label_smoothing <= 1.0:
        raise ValueRangeError("cross_entropy: label_smoothing out of range", expected="0 to 1", actual=label_smoothing)
    if input.ndim == target.ndim and input.ndim and target.dtype.is_floating_point:
        require_float("cross_entropy", input, weight)
        if not all(map(dims.equal, input.shape, target.shape)):
            raise ShapeError(
                "cross_entropy: probabilities have the input's shape", expected=input.type, actual=target.type
            )
        return soft_cross_entropy(input, target, weight, label_smoothing, reduction=reduction)
    _check_classes("cross_entropy", input, target, weight, ignore_index)
    target = _as_index(target)
    if smooth:
        return smoothed_cross_entropy(
            input, target, weight, label_smoothing, ignore_index=ignore_index, reduction=reduction
        )
    return cross_entropy_op(input, target, weight, ignore_index=ignore_index, reduction=reduction)


@cross_entropy.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 4)), rng.integers(0, 4, size=(5,)))
    yield Sample(rng.normal(size=(5, 4)), rng.integers(0, 4, size=(5,)), label_smoothing=0.1)
    yield Sample(rng.normal(size=(5, 4)), rng.uniform(size=(5, 4)))
    yield Sample(rng.normal(size=(2, 4, 3)), rng.integers(0, 4, size=(2, 3)), rng.uniform(size=(4,)), ignore_index=2)
