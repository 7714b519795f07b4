"""Table lookup and one-hot codes."""

from __future__ import annotations

from typing import Any

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.errors import DTypeError, ShapeError, ValueRangeError
from jitorch.ops import dispatch
from jitorch.ops.gather import put, take
from jitorch.ops.helpers import filled, number_of, ramp, sum_over, unrecorded
from jitorch.ops.math import abs, where
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.search import greatest_plus_one
from jitorch.ops.structure import cast, copy, reshape_to, stop_gradient

Tensor = Any


@op(name="embedding", places=())
def embedding_op(weight: Tensor, index: Tensor, *, padding_idx: int | None) -> Tensor:
    """Rows ``weight[index]``, counted from the start; row ``padding_idx`` gets no gradient."""
    return take(weight, from_start(index, weight.shape[0]), axis=0)


@embedding_op.vjp
def _(g, out, weight, index, *, padding_idx):
    if padding_idx is not None:
        g = where(reshape_to(index == padding_idx, shape=(*index.shape, 1)), 0.0, g)
    return put(filled(0, g.dtype, weight.shape), index, g, axis=0, accumulate=True), None


@embedding_op.batch
def _(size, batched, weight, index, *, padding_idx):
    if not batched[0]:
        return embedding_op(weight, index, padding_idx=padding_idx)
    if padding_idx is not None:
        is_padding = reshape_to(ramp(weight.shape[1], 0, 1) == padding_idx, shape=(weight.shape[1], 1))
        weight = where(is_padding, stop_gradient(weight), weight)
    return take.rules["batch"](size, batched, weight, from_start(index, weight.shape[1]), axis=0)


@embedding_op.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 3)), rng.integers(0, 5, size=(2, 4)), padding_idx=None)
    yield Sample(rng.normal(size=(5, 3)), rng.integers(0, 5, size=(2, 4)), padding_idx=1, grad=False)


@function(places=("nn",))
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of the table ``weight`` at the integer indices ``input``: ``[*]`` to ``[*, D]``.

    Row ``padding_idx`` gets no gradient.  ``max_norm`` first scales the rows looked up, in place, to
    at most that ``norm_type`` norm.  ``scale_grad_by_freq`` divides a row's gradient by how often it
    was looked up.  Gradients are dense, whatever ``sparse`` says.
    """
    if weight.ndim != 2:
        raise ShapeError("embedding: the table has two axes, [rows, D]", actual=weight.type)
    if input.dtype not in (dtypes.int64, dtypes.int32):
        raise DTypeError("embedding: indices must be int64 or int32", expected="int64 or int32", actual=input.type)
    rows = weight.shape[0]
    if padding_idx is not None:
        if not (dims.holds("<=", -rows, padding_idx) and dims.holds("<", padding_idx, rows)):
            raise ValueRangeError("embedding: padding_idx out of range", expected=f"below {rows}", actual=padding_idx)
        padding_idx = padding_idx + rows if padding_idx < 0 else padding_idx
    index = input
    if max_norm is not None:
        limit_norms(weight, from_start(index, rows), max_norm, norm_type)
    if scale_grad_by_freq:
        index = from_start(index, rows)
        ones = filled(1.0, weight.dtype, index.shape)
        counts = put(filled(0.0, weight.dtype, (rows,)), index, ones, axis=0, accumulate=True)
        found = take(counts, index, axis=0)
        divisor = reshape_to(found, shape=(*index.shape, 1))
        return divide_gradient(embedding_op(weight, index, padding_idx=padding_idx), divisor)
    return embedding_op(weight, index, padding_idx=padding_idx)


@embedding.samples
def _(rng):
    yield Sample(rng.integers(0, 5, size=(2, 4)), rng.normal(size=(5, 3)))
    yield Sample(rng.integers(0, 5, size=(3,)), rng.normal(size=(5, 3)), max_norm=100.0)


def from_start(index: Tensor, size: Any) -> Tensor:
    """An index in which a negative one is out of range rather than counted from the end."""
    return where(index < 0, number_of(size), index)


def limit_norms(weight: Tensor, index: Tensor, max_norm: Any, norm_type: Any) -> None:
    """Scale the rows named, in place, to at most a norm."""
    with unrecorded():
        rows = take(weight, index, axis=0)
        norm = sum_over(abs(rows) ** norm_type, (rows.ndim - 1,)) ** (1.0 / norm_type)
        limited = where(norm > max_norm, rows * (max_norm / (norm + 1e-7)), rows)
        weight._replace(put(weight, index, limited, axis=0, accumulate=False))


@op(places=())
def divide_gradient(x: Tensor, divisor: Tensor) -> Tensor:
    """``x`` itself; its gradient is divided by ``divisor``, which broadcasts."""
    return copy(x)


@divide_gradient.vjp
def _(g, out, x, divisor):
    return g / divisor, None


@divide_gradient.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.uniform(1, 2, size=(2, 1)), grad=False)


@function(places=("nn",))
def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """int64 codes: 1 at the place that the element names, else 0; a new last axis of ``num_classes``.

    Without ``num_classes`` it is the greatest element plus 1.
    """
    if input.dtype is not dtypes.int64:
        raise DTypeError("one_hot: needs class indices of dtype int64", expected="int64", actual=input.type)
    classes: Dim = _classes(input) if num_classes == -1 else num_classes
    if isinstance(classes, int) and classes < 1:
        raise ValueRangeError("one_hot: needs at least one class", expected="num_classes > 0", actual=classes)
    array = input._array if isinstance(classes, int) else None
    if array is not None and array.size and not 0 <= array.min() <= array.max() < classes:
        raise ValueRangeError(
            "one_hot: a class is out of range", expected=f"0 to {classes - 1}",
            actual=f"{array.min()} to {array.max()}",
        )  # fmt: skip
    return one_hot_op(input, classes=classes)


def _classes(input: Tensor) -> Dim:
    """The greatest element plus 1."""
    if dims.equal(input.numel(), 0):
        raise ValueRangeError("one_hot: the number of classes of an empty tensor is not known")
    if dispatch.current().binds_size(input, "one_hot without num_classes"):
        return greatest_plus_one(reshape_to(input, shape=(input.numel(),)), 0)
    return int(input._data("one_hot without num_classes").max()) + 1


@one_hot.samples
def _(rng):
    yield Sample(rng.integers(0, 4, size=(2, 3)), 4)
    yield Sample(rng.integers(0, 4, size=()))


@op(name="one_hot", places=())
def one_hot_op(index: Tensor, *, classes: Dim) -> Tensor:
    """1 where the position along a new last axis is the index, else 0."""
    column = reshape_to(index, shape=(*index.shape, 1))
    return cast(column == ramp(classes, index.ndim, index.ndim + 1), dtype=dtypes.int64)


@one_hot_op.vjp
def _(g, out, index, *, classes):
    return (None,)


@one_hot_op.samples
def _(rng):
    yield Sample(rng.integers(0, 4, size=(2, 3)), classes=4)
