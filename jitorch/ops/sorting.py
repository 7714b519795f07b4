"""Sorting and what is read off a sorted axis: top elements, medians, quantiles, modes.

One primitive gives the order; values are gathered by it, so their gradient goes to where they
came from.  NaN is greater than every number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import ArgumentError, DTypeError, ShapeError, TensorIndexError, ValueRangeError
from jitorch.ops import results
from jitorch.ops.arguments import axis_of, check_tensor, is_tensor
from jitorch.ops.batching import register, shifting
from jitorch.ops.create import constant, size_number
from jitorch.ops.gather import gather_axis
from jitorch.ops.math import ceil, floor, where
from jitorch.ops.parts import slice_along
from jitorch.ops.reduction import kept
from jitorch.ops.registry import Sample, function, primitive
from jitorch.ops.shape import at_least_1d
from jitorch.ops.sort_keys import stable_order
from jitorch.ops.structure import broadcast_to, cast, copy, reduce_sum, reshape_to

Tensor = Any


@primitive(lowering="recipe")
def argsort_axis(x: Tensor, *, axis: int, descending: bool) -> Tensor:
    """The order that sorts along ``axis``; equal elements keep theirs, NaN counts as greatest."""


@argsort_axis.type_rule
def _(x, *, axis, descending):
    if x.dtype.is_complex:
        raise DTypeError("sort: complex numbers have no order", actual=x)
    return x.with_dtype(dtypes.int64)


@argsort_axis.numpy
def _(x, *, axis, descending):
    return stable_order(x.astype(np.float32) if x.dtype == dtypes.bfloat16.numpy else x, axis, descending)


@argsort_axis.vjp
def _(g, out, x, *, axis, descending):
    return (None,)


@argsort_axis.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5)), axis=1, descending=False)
    yield Sample(rng.integers(0, 3, size=(6, 2)), axis=0, descending=True)


@primitive(lowering="recipe")
def top_axis(x: Tensor, *, axis: int, count: int, descending: bool) -> Tensor:
    """The first ``count`` of the order that `argsort_axis` gives; at least one, and at most as many as there are."""


@top_axis.type_rule
def _(x, *, axis, count, descending):
    if x.dtype.is_complex:
        raise DTypeError("topk: complex numbers have no order", actual=x)
    return x.with_shape(count if i == axis else d for i, d in enumerate(x.shape)).with_dtype(dtypes.int64)


@top_axis.numpy
def _(x, *, axis, count, descending):
    order = stable_order(x.astype(np.float32) if x.dtype == dtypes.bfloat16.numpy else x, axis, descending)
    return np.take(order, np.arange(count), axis)


@top_axis.vjp
def _(g, out, x, *, axis, count, descending):
    return (None,)


@top_axis.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5)), axis=1, count=3, descending=True)
    yield Sample(rng.integers(0, 3, size=(6, 2)), axis=0, count=2, descending=False)


@primitive(lowering="recipe")
def nth_axis(x: Tensor, rank: Tensor, *, axis: int) -> Tensor:
    """The position of the element that comes ``rank``-th, from 0, in the order that `argsort_axis` gives.

    ``rank`` is int64 and of the shape of ``x``, but for a size of 1 along ``axis``; it is in range.
    """


@nth_axis.type_rule
def _(x, rank, *, axis):
    if x.dtype.is_complex:
        raise DTypeError("kthvalue: complex numbers have no order", actual=x)
    return x.with_shape(1 if i == axis else d for i, d in enumerate(x.shape)).with_dtype(dtypes.int64)


@nth_axis.numpy
def _(x, rank, *, axis):
    order = stable_order(x.astype(np.float32) if x.dtype == dtypes.bfloat16.numpy else x, axis, False)
    return np.take_along_axis(order, rank, axis)


@nth_axis.vjp
def _(g, out, x, rank, *, axis):
    return None, None


@nth_axis.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5)), np.array([[1], [4]]), axis=1)
    yield Sample(rng.integers(0, 3, size=(6, 2)), np.array([[0, 5]]), axis=0)


@primitive(lowering="extern")
def mode_axis(x: Tensor, *, axis: int) -> Tensor:
    """Position of the last of the most frequent elements along ``axis``, which disappears; of several the least."""


@mode_axis.type_rule
def _(x, *, axis):
    return x.with_shape(d for i, d in enumerate(x.shape) if i != axis).with_dtype(dtypes.int64)


def _mode_of(row: Any) -> int:
    order = np.argsort(row, kind="stable")
    ordered = row[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    lengths = np.diff(ends, prepend=-1)
    return int(order[ends[np.argmax(lengths)]])


@mode_axis.numpy
def _(x, *, axis):
    keys = x.astype(np.float32) if x.dtype == dtypes.bfloat16.numpy else x
    rows = np.moveaxis(keys, axis, -1)
    flat = rows.reshape(-1, rows.shape[-1]) if rows.shape[-1] else rows.reshape(0, 0)
    return np.array([_mode_of(row) for row in flat], np.int64).reshape(rows.shape[:-1])


@mode_axis.vjp
def _(g, out, x, *, axis):
    return (None,)


@mode_axis.samples
def _(rng):
    yield Sample(rng.integers(0, 3, size=(2, 5)), axis=1)


# ---- sort ---------------------------------------------------------------------------------------------
def sorted_along(x: Tensor, axis: int, descending: bool = False) -> tuple[Tensor, Tensor]:
    """Sorted values and their positions; ``x`` has an axis."""
    order = argsort_axis(x, axis=axis, descending=descending)
    return gather_axis(x, order, axis=axis), order


def _zero_index(x: Tensor) -> Tensor:
    return copy(broadcast_to(constant(value=0, dtype=dtypes.int64), shape=tuple(x.shape)))


@function
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """``(values, indices)`` in order along ``dim``; always stable."""
    check_tensor("sort", input)
    axis = axis_of("sort", dim, input.ndim)
    if not input.ndim:
        return results.Sort(copy(input), _zero_index(input))
    return results.Sort(*sorted_along(input, axis, bool(descending)))


@function
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The order that sorts along ``dim``; always stable."""
    return sort(input, dim, descending).indices


@function
def msort(input: Tensor) -> Tensor:
    """Sorted values along the first axis."""
    return sort(input, 0).values


def _sort_samples(rng: Any) -> Any:
    yield Sample(rng.normal(size=(2, 5)))
    yield Sample(rng.normal(size=(3, 2)), 0, True)
    yield Sample(rng.normal(size=()))


sort.samples(_sort_samples)
argsort.samples(_sort_samples)
msort.samples(lambda rng: [Sample(rng.normal(size=(4, 2)))])


@function
def topk(input: Tensor, k: Any, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """``(values, indices)`` of the ``k`` greatest (or least) elements along ``dim``, always in order."""
    check_tensor("topk", input)
    axis = axis_of("topk", dim, input.ndim)
    if is_tensor(k) or not isinstance(k, (int, dims.SymDim)):
        k = k.__index__()
    size = input.shape[axis] if input.ndim else 1
    if dims.less(k, 0) or dims.less(size, k):
        raise ShapeError("topk: k out of range", expected=f"0 to {size}", actual=k)
    if not input.ndim:
        x = copy(broadcast_to(input, shape=() if k == 1 else (0,)))
        return results.TopK(x, _zero_index(x))
    if isinstance(k, int) and k > 0:
        order = top_axis(input, axis=axis, count=k, descending=bool(largest))
    else:
        order = copy(slice_along(argsort_axis(input, axis=axis, descending=bool(largest)), axis, 0, k))
    return results.TopK(gather_axis(input, order, axis=axis), order)


@topk.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5)), 3)
    yield Sample(rng.normal(size=(4, 2)), 1, 0, False)
    yield Sample(rng.normal(size=(4,)), 0)


# ---- order statistics -----------------------------------------------------------------------------------
def _position_along(name: str, x: Tensor, dim: int, find: Any, keepdim: bool, named: Any) -> Any:
    """``named(values, indices)`` where ``find(x, axis)`` gives the index with the axis kept as size 1."""
    check_tensor(name, x)
    axis = axis_of(name, dim, x.ndim)
    if not x.ndim:
        return named(copy(x), _zero_index(x))
    if isinstance(x.shape[axis], int) and x.shape[axis] == 0:
        raise TensorIndexError(f"{name}: an axis without elements has none", expected="size > 0", actual=x.type)
    index = find(x, axis)
    values = gather_axis(x, index, axis=axis)
    if not keepdim:
        shape = tuple(d for i, d in enumerate(x.shape) if i != axis)
        values, index = reshape_to(values, shape=shape), reshape_to(index, shape=shape)
    return named(values, index)


@function
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """``(values, indices)`` of the ``k``-th least element along ``dim``, counted from 1."""
    check_tensor("kthvalue", input)
    size = input.shape[axis_of("kthvalue", dim, input.ndim)] if input.ndim else 1
    if k < 1 or dims.less(size, k):
        raise ValueRangeError("kthvalue: k out of range", expected=f"1 to {size}", actual=k)

    def find(x: Tensor, axis: int) -> Tensor:
        shape = tuple(1 if i == axis else d for i, d in enumerate(x.shape))
        return nth_axis(x, copy(broadcast_to(constant(value=k - 1, dtype=dtypes.int64), shape=shape)), axis=axis)

    return _position_along("kthvalue", input, dim, find, keepdim, results.KthValue)


kthvalue.samples(lambda rng: [Sample(rng.normal(size=(2, 5)), 2), Sample(rng.normal(size=(4, 2)), 4, 0, True)])


def _numbers_along(x: Tensor, axis: int) -> Tensor:
    """How many elements are no NaN, with the axis kept."""
    count = reduce_sum(cast(x == x, dtype=dtypes.int64), axes=(axis,))
    return kept(count, x, (axis,), True)


def _median_index(x: Tensor, axis: int) -> Tensor:
    """The lower of two middle elements; a NaN if there is one."""
    count, size = _numbers_along(x, axis), size_number(x.shape[axis])
    middle = where(count == size, (size - 1) // 2, size - 1)
    return nth_axis(x, middle, axis=axis)


def _nan_median_index(x: Tensor, axis: int) -> Tensor:
    count = _numbers_along(x, axis)
    middle = where(count == 0, 0, (count - 1) // 2)
    return nth_axis(x, middle, axis=axis)


def _median(name: str, x: Tensor, dim: Any, keepdim: bool, find: Any, named: Any) -> Any:
    check_tensor(name, x)
    if dim is not None:
        return _position_along(name, x, dim, find, keepdim, named)
    flat = reshape_to(x, shape=(x.numel(),)) if x.is_contiguous() else reshape_to(copy(x), shape=(x.numel(),))
    if isinstance(x.numel(), int) and x.numel() == 0:
        return cast(constant(value=float("nan"), dtype=dtypes.float64), dtype=x.dtype)
    return _position_along(name, flat, 0, find, False, named).values


@function
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element (the lower of two), NaN if there is one; along ``dim`` ``(values, indices)``."""
    return _median("median", input, dim, keepdim, _median_index, results.Median)


@function
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the elements that are not NaN."""
    return _median("nanmedian", input, dim, keepdim, _nan_median_index, results.NanMedian)


for _entry in (median, nanmedian):
    _entry.samples(
        lambda rng: [
            Sample(rng.normal(size=(2, 5))),
            Sample(rng.normal(size=(2, 4)), 1),
            Sample(rng.normal(size=(3, 2)), dim=0, keepdim=True),
        ]
    )


@function
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """``(values, indices)`` of the most frequent element along ``dim``, the least of several."""

    def find(x: Tensor, axis: int) -> Tensor:
        return kept(mode_axis(x, axis=axis), x, (axis,), True)

    return _position_along("mode", input, dim, find, keepdim, results.Mode)


mode.samples(lambda rng: [Sample(rng.integers(0, 3, size=(2, 5))), Sample(rng.integers(0, 2, size=(4, 2)), 0, True)])

INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name: str, x: Tensor, q: Any, dim: Any, keepdim: bool, interpolation: str, skip_nan: bool) -> Tensor:
    check_tensor(name, x)
    if not x.dtype.is_floating_point:
        raise DTypeError(f"{name}: expected floating point", actual=x.type)
    if interpolation not in INTERPOLATIONS:
        raise ArgumentError(f"{name}: unknown interpolation", expected=", ".join(INTERPOLATIONS), actual=interpolation)
    if not is_tensor(q):
        if not 0 <= q <= 1:
            raise ValueRangeError(f"{name}: q is a fraction", expected="0 to 1", actual=q)
        q = constant(value=float(q), dtype=x.dtype)
    if q.ndim > 1 or q.dtype is not x.dtype:
        raise ShapeError(f"{name}: q is a number or a vector of the dtype of input", expected=x.dtype, actual=q.type)
    if isinstance(x.numel(), int) and x.numel() == 0:
        raise ShapeError(f"{name}: no elements", actual=x.type)
    if dim is None:
        kept_shape: tuple[Any, ...] = (1,) * x.ndim
        moved = reshape_to(copy(x), shape=(1, x.numel()))
        shape = kept_shape if keepdim else ()
    else:
        axis = axis_of(name, dim, x.ndim)
        x = at_least_1d(x)
        others = tuple(d for i, d in enumerate(x.shape) if i != axis)
        kept_shape = tuple(1 if i == axis else d for i, d in enumerate(x.shape))
        moved = reshape_to(copy(x.movedim(axis, -1)), shape=(dims.prod(others), x.shape[axis]))
        shape = kept_shape if keepdim else others
    rows = _quantile_rows(moved, at_least_1d(q), interpolation, skip_nan)
    return reshape_to(copy(rows.t()), shape=(q.shape[0], *shape)) if q.ndim else reshape_to(rows, shape=shape)


def _quantile_rows(x: Tensor, q: Tensor, interpolation: str, skip_nan: bool) -> Tensor:
    """``[R, N]`` and ``[Q]`` to ``[R, Q]``."""
    values, _ = sorted_along(x, 1)
    numbers = _numbers_along(x, 1)
    size = size_number(x.shape[1])
    if skip_nan:
        last = where(numbers == 0, 0, numbers - 1)
        rank = q * cast(last, dtype=x.dtype)
    else:
        # One NaN makes the result NaN: it stands last.
        rank = where(numbers == size, q * (size - 1), size - 1)
    if interpolation == "lower":
        rank = floor(rank)
    elif interpolation == "higher":
        rank = ceil(rank)
    elif interpolation == "nearest":
        rank = rank.round()
    below = cast(floor(rank), dtype=dtypes.int64)
    above = cast(ceil(rank), dtype=dtypes.int64)
    low, high = gather_axis(values, below, axis=1), gather_axis(values, above, axis=1)
    if interpolation in ("lower", "higher", "nearest"):
        return low
    weight = 0.5 if interpolation == "midpoint" else rank - floor(rank)
    return low + (high - low) * weight


@function
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The value below which a fraction ``q`` of the elements lies; a vector ``q`` becomes the first axis."""
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@function
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of the elements that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


for _entry in (quantile, nanquantile):
    _entry.samples(
        lambda rng: [
            Sample(rng.normal(size=(2, 5)), 0.3),
            Sample(rng.normal(size=(2, 5)), np.array([0.1, 0.9]), 1, True),
            Sample(rng.normal(size=(4, 2)), 0.5, dim=0, interpolation="nearest"),
        ]
    )


register(shifting, argsort_axis, mode_axis, nth_axis, top_axis, names=("axis",))
