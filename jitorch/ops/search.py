"""Positions in sorted sequences, and histograms."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.dtypes import DType
from jitorch.errors import ArgumentError, DTypeError, ShapeError, ValueRangeError
from jitorch.ops import dispatch
from jitorch.ops.batching import repeated
from jitorch.ops.control import count_up
from jitorch.ops.gather import gather_axis, put
from jitorch.ops.helpers import filled, narrow_to
from jitorch.ops.math import floor, maximum, minimum, where
from jitorch.ops.normalize import result_type
from jitorch.ops.reduce import reduce_max, reduce_min
from jitorch.ops.registry import Sample, function, op, primitive
from jitorch.ops.structure import cast, concatenate, reshape_to

Tensor = Operand = Any


@primitive(lowering="recipe")
def search_sorted(sequence: Tensor, values: Tensor, *, right: bool, dtype: DType) -> Tensor:
    """Where to insert each value so that the last axis of ``sequence`` stays sorted.

    ``sequence`` is ``[S]`` for values of any shape, or ``[*B, S]`` for ``[*B, V]``.  ``right``: behind equal elements.
    """


@search_sorted.type_rule
def _(sequence, values, *, right, dtype):
    return values.with_dtype(dtype)


@search_sorted.numpy
def _(sequence, values, *, right, dtype):
    side = "right" if right else "left"
    if sequence.ndim == 1:
        return np.searchsorted(sequence, values, side).astype(dtype.numpy)
    if values.size == 0 or sequence.size == 0:
        return np.zeros(values.shape, dtype.numpy)
    rows = sequence.reshape(-1, sequence.shape[-1])
    each = values.reshape(len(rows), -1)
    found = [np.searchsorted(row, value, side) for row, value in zip(rows, each)]
    return np.array(found, dtype.numpy).reshape(values.shape)


@search_sorted.vjp
def _(g, out, sequence, values, *, right, dtype):
    return None, None


@search_sorted.batch
def _(size, batched, sequence, values, *, right, dtype):
    if not batched[0] and sequence.ndim == 1:
        return search_sorted(sequence, values, right=right, dtype=dtype)
    sequence, flat = repeated(size, batched[0], sequence), repeated(size, batched[1], values)
    if sequence.ndim == 2:
        flat = reshape_to(flat, shape=(size, dims.prod(flat.shape[1:])))
    found = search_sorted(sequence, flat, right=right, dtype=dtype)
    return reshape_to(found, shape=(size, *(values.shape[1:] if batched[1] else values.shape)))


@search_sorted.samples
def _(rng):
    yield Sample(np.sort(rng.normal(size=(5,))), rng.normal(size=(2, 3)), right=False, dtype=dtypes.int64)
    rows = np.sort(rng.integers(0, 4, size=(2, 5)))
    yield Sample(rows, rng.integers(0, 4, size=(2, 3)), right=True, dtype=dtypes.int32)


def _searched(name: str, sequence: Tensor, values: Any, right: bool, out_int32: bool) -> Tensor:
    if not hasattr(values, "ndim"):
        values = cast(values, dtype=result_type((sequence, values)))
    dtype = dtypes.promote_types(sequence.dtype, values.dtype)
    if sequence.ndim > 1:
        lead = sequence.shape[:-1]
        if values.ndim != sequence.ndim or not all(map(dims.equal, values.shape[:-1], lead)):
            raise ShapeError(f"{name}: the leading axes must be equal", expected=sequence.type, actual=values.type)
    if sequence.ndim == 0:
        raise ShapeError(f"{name}: the sorted sequence needs an axis", actual=sequence.type)
    target = dtypes.int32 if out_int32 else dtypes.int64
    return search_sorted(narrow_to(sequence, dtype), narrow_to(values, dtype), right=right, dtype=target)


@function(places=("torch",))
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where to insert ``input`` so that the last axis of ``sorted_sequence`` stays sorted.

    ``right``, or ``side="right"``, means behind equal elements.  ``sorter`` sorts the sequence first.
    """
    if side not in (None, "left", "right"):
        raise ValueRangeError("searchsorted: unknown side", expected="'left' or 'right'", actual=side)
    if side == "left" and right:
        raise ArgumentError("searchsorted: side='left' and right=True contradict each other")
    if sorter is not None:
        if sorter.dtype is not dtypes.int64 or tuple(sorter.shape) != tuple(sorted_sequence.shape):
            raise ArgumentError("searchsorted: the sorter is int64 and has the sequence's shape", actual=sorter.type)
        sorted_sequence = gather_axis(sorted_sequence, sorter, axis=sorter.ndim - 1)
    return _searched("searchsorted", sorted_sequence, input, bool(right) or side == "right", out_int32)


@searchsorted.samples
def _(rng):
    yield Sample(np.sort(rng.normal(size=(5,))), rng.normal(size=(2, 3)), grad=False)
    yield Sample(np.sort(rng.integers(0, 4, size=(2, 5))), rng.integers(0, 4, size=(2, 3)), side="right")


@function(places=("torch",))
def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The bucket of each element: the number of ``boundaries`` below it (with ``right``, at or below)."""
    if boundaries.ndim != 1:
        raise ShapeError("bucketize: the boundaries are a vector", actual=boundaries.type)
    return _searched("bucketize", boundaries, input, bool(right), out_int32)


@bucketize.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), np.array([-1.0, 0.0, 0.5]), grad=False)
    yield Sample(rng.integers(0, 4, size=(2, 3)), np.array([0, 2]), right=True)


# ---- histograms ------------------------------------------------------------------------------------------
@op(places=())
def count_into(index: Tensor, weight: Tensor, *, size: Dim) -> Tensor:
    """A vector of ``size`` sums: ``out[index[i]] += weight[i]``."""
    return put(filled(0, weight.dtype, (size,)), index, weight, axis=0, accumulate=True)


@count_into.samples
def _(rng):
    yield Sample(rng.integers(0, 4, size=(6,)), rng.normal(size=(6,)), size=4)


@op(places=())
def counts(index: Tensor, *, size: Dim) -> Tensor:
    """How often each of the numbers below ``size`` is in a vector of indices."""
    return count_into(index, filled(1, dtypes.int64, tuple(index.shape)), size=size)


@counts.vjp
def _(g, out, index, *, size):
    return (None,)


@counts.samples
def _(rng):
    yield Sample(rng.integers(0, 4, size=(6,)), size=4)


@op(places=())
def extent(x: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest element of a vector that has some."""
    return reduce_min(x, axes=(0,)), reduce_max(x, axes=(0,))


extent.samples(lambda rng: [Sample(rng.normal(size=(5,)))])


@function
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each value occurs among non-negative integers, or the sum of its ``weights``.

    The result's size is the greatest value plus 1, or ``minlength`` if that is more.
    """
    if input.ndim != 1 or input.dtype.category is not dtypes.Category.INT:
        raise DTypeError("bincount: needs a vector of integers", actual=input.type)
    if weights is not None and tuple(weights.shape) != tuple(input.shape):
        raise ShapeError("bincount: one weight for each element", expected=input.type, actual=weights.type)
    if minlength < 0:
        raise ValueRangeError("bincount: minlength must not be negative", actual=minlength)
    size, index = _bins(input, minlength), narrow_to(input, dtypes.int64)
    if weights is None:
        return counts(index, size=size)
    if weights.dtype is not dtypes.float32:
        weights = narrow_to(weights, dtypes.float64)
    return count_into(index, weights, size=size)


def _bins(input: Tensor, minlength: int) -> Dim:
    """The greatest element plus 1, or ``minlength`` if that is more."""
    if not dispatch.current().binds_size(input, "bincount"):
        if dims.equal(input.shape[0], 0):
            return minlength
        least, greatest = (int(x) for x in extent(input))
        if least < 0:
            raise ValueRangeError("bincount: the elements must not be negative", actual=least)
        return max(greatest + 1, minlength)
    return greatest_plus_one(input, minlength)


def greatest_plus_one(input: Tensor, least: int) -> Dim:
    """A size: the greatest of a vector of int64 plus 1, or ``least``.

    It is 0 where an element is negative, so that none of them is an index in range.
    """
    input = narrow_to(input, dtypes.int64)
    if dims.decide("<", 0, input.shape[0]):
        bottom, top = extent(input)
    else:
        bottom = reduce_min(concatenate([input, filled(0, dtypes.int64, (1,))], axis=0), axes=(0,))
        top = reduce_max(concatenate([input, filled(least - 1, dtypes.int64, (1,))], axis=0), axes=(0,))
    return count_up(where(bottom < 0, 0, maximum(top + 1, least))).shape[0]


@bincount.samples
def _(rng):
    yield Sample(rng.integers(0, 5, size=(8,)))
    yield Sample(rng.integers(0, 5, size=(8,)), rng.normal(size=(8,)), minlength=7, grad=False)


@op(places=())
def histogram_counts(input: Tensor, low: Operand, high: Operand, *, bins: int) -> Tensor:
    """How many elements fall into each of ``bins`` equal parts of ``low`` .. ``high``; the last holds ``high``."""
    inside = (input >= low) & (input <= high)
    place = floor((where(inside, input, low) - low) * (bins / (high - low)))
    index = minimum(cast(place, dtype=dtypes.int64), bins - 1)
    return put(filled(0, input.dtype, (bins,)), index, cast(inside, dtype=input.dtype), axis=0, accumulate=True)


@histogram_counts.vjp
def _(g, out, input, low, high, *, bins):
    return None, None, None


@histogram_counts.samples
def _(rng):
    yield Sample(rng.normal(size=(9,)), -1.0, 1.0, bins=4, grad=False)


@function
def histc(input: Tensor, bins: int = 100, min: Any = 0, max: Any = 0) -> Tensor:
    """Counts of elements in ``bins`` equal parts of ``min`` .. ``max``, in the input's dtype.

    With both 0, the range is that of the data.
    """
    if not input.dtype.is_floating_point:
        raise DTypeError("histc: needs a floating point tensor", expected="a floating point dtype", actual=input.type)
    if not isinstance(bins, int) or bins <= 0:
        raise ValueRangeError("histc: bins must be positive", expected="bins > 0", actual=bins)
    if min > max:
        raise ValueRangeError("histc: max must not be less than min", actual=f"{min} > {max}")
    flat = reshape_to(input, shape=(input.numel(),))
    if dims.equal(flat.shape[0], 0):
        return filled(0, input.dtype, (bins,)) + 0
    low, high = (min, max) if min != max else (reduce_min(flat, axes=(0,)), reduce_max(flat, axes=(0,)))
    if min == max and min != 0:
        low, high = min - 1, max + 1
    elif min == max:
        equal = low == high
        low, high = where(equal, low - 1, low), where(equal, high + 1, high)
    return histogram_counts(flat, low, high, bins=bins)


@histc.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), bins=5, min=-2, max=2, grad=False)
    yield Sample(rng.normal(size=(12,)), bins=4, grad=False)
