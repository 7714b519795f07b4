"""Sums, means and maxima of rows of a table, bag by bag."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.errors import ArgumentError, DTypeError, ShapeError, ValueRangeError
from jitorch.ops.embedding import divide_gradient, embedding_op, from_start, limit_norms
from jitorch.ops.gather import put, take
from jitorch.ops.helpers import filled, ramp
from jitorch.ops.math import where
from jitorch.ops.padding import part
from jitorch.ops.registry import Sample, function
from jitorch.ops.scatter import scatter_extreme
from jitorch.ops.search import search_sorted
from jitorch.ops.structure import broadcast_to, cast, reshape_to

Tensor = Any


def _bags(input: Tensor, offsets: Tensor | None, include_last: bool) -> tuple[Tensor, Tensor, Any]:
    """The indices as a vector, the bag each belongs to, and the number of bags."""
    if input.ndim == 2:
        if offsets is not None:
            raise ArgumentError("embedding_bag: two-dimensional indices are bags already", hint="leave offsets out")
        bags, size = input.shape
        flat = reshape_to(input, shape=(input.numel(),))
        rows = broadcast_to(ramp(bags, 0, 2), shape=(bags, size))
        return flat, reshape_to(rows, shape=(input.numel(),)), bags
    if input.ndim != 1:
        raise ShapeError("embedding_bag: the indices have one or two axes", actual=input.type)
    if offsets is None or offsets.ndim != 1:
        raise ArgumentError("embedding_bag: a vector of indices needs a vector of offsets", actual=offsets)
    starts = offsets
    if include_last:
        starts = part(offsets, 0, 0, offsets.shape[0] - 1)
    starts = cast(starts, dtype=dtypes.int64)
    places = ramp(input.shape[0], 0, 1)
    return input, search_sorted(starts, places, right=True, dtype=dtypes.int64) - 1, starts.shape[0]


@function(places=("nn",))
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or max of the rows ``weight[input]`` of each bag: ``[bags, D]``; 0 for an empty bag.

    The rows of ``input`` [bags, size] are bags, or ``offsets`` tells where in a vector each bag begins.
    Rows ``padding_idx`` take no part.  ``per_sample_weights`` scales rows, for sums.  Gradients are dense.
    """
    if input.dtype not in (dtypes.int64, dtypes.int32):
        raise DTypeError("embedding_bag: indices must be int64 or int32", expected="int64 or int32", actual=input.type)
    if weight.ndim != 2:
        raise ShapeError("embedding_bag: the table has two axes, [rows, D]", actual=weight.type)
    if mode not in ("sum", "mean", "max"):
        raise ValueRangeError("embedding_bag: unknown mode", expected="'sum', 'mean' or 'max'", actual=mode)
    if per_sample_weights is not None and (mode != "sum" or tuple(per_sample_weights.shape) != tuple(input.shape)):
        raise ArgumentError(
            "embedding_bag: per_sample_weights are for mode 'sum', one for each index", expected=input.type,
            actual=f"{per_sample_weights.type}, mode {mode!r}",
        )  # fmt: skip
    flat, bag, bags = _bags(input, offsets, include_last_offset)
    size, width = weight.shape
    if padding_idx is not None and padding_idx < 0:
        padding_idx = padding_idx + size
    index = from_start(flat, size)
    if max_norm is not None:
        limit_norms(weight, index, max_norm, norm_type)
    rows = embedding_op(weight, index, padding_idx=padding_idx)
    column = (*index.shape, 1)
    if scale_grad_by_freq:
        ones = filled(1.0, weight.dtype, index.shape)
        seen = put(filled(0.0, weight.dtype, (size,)), index, ones, axis=0, accumulate=True)
        rows = divide_gradient(rows, reshape_to(take(seen, index, axis=0), shape=column))
    if per_sample_weights is not None:
        rows = rows * reshape_to(per_sample_weights, shape=column)
    counted = filled(1.0, weight.dtype, index.shape)
    if padding_idx is not None:
        kept = index != padding_idx
        counted = where(kept, counted, 0.0)
        empty = -float("inf") if mode == "max" else 0.0
        rows = where(reshape_to(kept, shape=column), rows, empty)
    counts = put(filled(0.0, weight.dtype, (bags,)), bag, counted, axis=0, accumulate=True)
    counts = reshape_to(counts, shape=(bags, 1))
    if mode == "max":
        wide = broadcast_to(reshape_to(bag, shape=column), shape=tuple(rows.shape))
        start = filled(-float("inf"), weight.dtype, (bags, width))
        return where(counts == 0, 0.0, scatter_extreme(start, wide, rows, axis=0, how="amax"))
    total = put(filled(0.0, weight.dtype, (bags, width)), bag, rows, axis=0, accumulate=True)
    return total if mode == "sum" else total / where(counts == 0, 1.0, counts)


@embedding_bag.samples
def _(rng):
    table = rng.normal(size=(5, 3))
    for mode in ("sum", "mean", "max"):
        yield Sample(rng.permutation(5)[:4].reshape(2, 2), table, mode=mode)
        yield Sample(rng.permutation(5), table, np.array([0, 2, 2]), mode=mode)
    yield Sample(np.array([[0, 1], [1, 4]]), table, mode="sum", per_sample_weights=rng.normal(size=(2, 2)))
    yield Sample(np.array([0, 1, 1, 4]), table, np.array([0, 3, 4]), include_last_offset=True)
