"""Reads and writes by flat, mask and sorted positions: names beside ``x[...]`` and `scatter`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import DTypeError, ShapeError, TensorIndexError
from jitorch.ops.gather import gather_axis, put, take
from jitorch.ops.helpers import narrow_to
from jitorch.ops.index import axis_of, put_at, slice_bounds
from jitorch.ops.index import getitem as read
from jitorch.ops.math import maximum, where
from jitorch.ops.normalize import broadcast_shapes
from jitorch.ops.registry import Sample, function
from jitorch.ops.scan import cumsum
from jitorch.ops.structure import broadcast_to, cast, copy, reshape_to, slice_size, slice_write

Tensor = Any


def _flat(x: Tensor) -> Tensor:
    return reshape_to(x, shape=(x.numel(),))


@function(name="take")
def take_flat(input: Tensor, index: Tensor) -> Tensor:
    """The elements of ``input``, seen as a vector, at the int64 ``index``."""
    if index.dtype is not dtypes.int64:
        raise DTypeError("take: the index must be int64", expected="int64", actual=index.type)
    return take(_flat(input), index, axis=0)


@take_flat.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), np.array([[0, 11], [5, -1]]))


@function(name="put", places=("torch", "method"), inplace=True)
def put_flat(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """``input``, seen as a vector, with the elements at ``index`` replaced by (or increased by) those of ``source``."""
    if index.dtype is not dtypes.int64:
        raise DTypeError("put: the index must be int64", expected="int64", actual=index.type)
    if source.dtype is not input.dtype:
        raise DTypeError("put: input and source must have one dtype", expected=input.type, actual=source.type)
    if not dims.equal(index.numel(), source.numel()):
        raise ShapeError("put: as many elements as indices", expected=index.type, actual=source.type)
    if dims.equal(index.numel(), 0):
        return copy(input)
    out = put(_flat(input), _flat(index), _flat(source), axis=0, accumulate=bool(accumulate))
    return reshape_to(out, shape=tuple(input.shape))


@put_flat.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), np.array([[0, 11], [5, -2]]), rng.normal(size=(2, 2)))
    yield Sample(rng.normal(size=(3, 4)), np.array([0, 0]), rng.normal(size=(2,)), accumulate=True)


@function
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` whose operands broadcast outside of ``dim``; without ``dim``, of ``input`` seen as a vector."""
    if indices.dtype is not dtypes.int64:
        raise DTypeError("take_along_dim: the indices must be int64", expected="int64", actual=indices.type)
    if dim is None:
        return gather_axis(_flat(input), _flat(indices), axis=0)
    if input.ndim != indices.ndim:
        raise ShapeError("take_along_dim: as many axes in both", expected=input.type, actual=indices.type)
    axis = axis_of("take_along_dim", dim, input.ndim)
    shape = broadcast_shapes(
        "take_along_dim", [tuple(1 if i == axis else d for i, d in enumerate(x.shape)) for x in (input, indices)]
    )
    x, index = (
        broadcast_to(v, shape=tuple(v.shape[axis] if i == axis else d for i, d in enumerate(shape)))
        for v in (input, indices)
    )
    return gather_axis(x, index, axis=axis)


@take_along_dim.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.integers(0, 4, size=(3, 2)), dim=1)
    yield Sample(rng.normal(size=(3, 4)), rng.integers(0, 4, size=(1, 2)), dim=1)
    yield Sample(rng.normal(size=(3, 4)), rng.integers(0, 12, size=(5,)))


@function(inplace=True)
def index_put(input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` with ``out[indices] = values``, or ``+=`` with ``accumulate`` (equal indices add up)."""
    if values.dtype is not input.dtype:
        raise DTypeError("index_put: input and values must have one dtype", expected=input.type, actual=values.type)
    key = tuple(slice(None) if i is None else i for i in indices)
    return put_at(input, key, values, bool(accumulate))


@index_put.samples
def _(rng):
    rows, columns = np.array([0, 2, 0]), np.array([1, 3, 1])
    yield Sample(rng.normal(size=(3, 4)), [rows[:2], columns[:2]], rng.normal(size=(2,)))
    yield Sample(rng.normal(size=(3, 4)), [rows, columns], rng.normal(size=(3,)), accumulate=True)
    yield Sample(rng.normal(size=(3, 4)), [np.array([2, 0])], rng.normal(size=(4,)))


# ---- masks ----------------------------------------------------------------------------------------------
def _masked(name: str, input: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    if mask.dtype is not dtypes.bool_:
        raise DTypeError(f"{name}: the mask must be bool", expected="bool", actual=mask.type)
    shape = broadcast_shapes(name, [tuple(input.shape), tuple(mask.shape)])
    x, mask = (v if tuple(v.shape) == shape else broadcast_to(v, shape=shape) for v in (input, mask))
    return x, mask


@function
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements, as a vector, where the bool ``mask`` holds."""
    x, mask = _masked("masked_select", input, mask)
    if not x.ndim:
        x, mask = reshape_to(x, shape=(1,)), reshape_to(mask, shape=(1,))
    return read(x, mask)


@masked_select.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)) > 0, trace=False)
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(4,)) > 0, trace=False)


@function(inplace=True)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """``input`` with the elements where ``mask`` holds replaced by those of ``source``, in order."""
    if source.dtype is not input.dtype:
        raise DTypeError("masked_scatter: input and source differ in dtype", expected=input.type, actual=source.type)
    x, mask = _masked("masked_scatter", input, mask)
    if mask._array is not None and int(mask._array.sum()) > source.numel():
        raise ShapeError(
            "masked_scatter: the source has too few elements", expected=int(mask._array.sum()), actual=source.type
        )
    if dims.equal(source.numel(), 0):
        return copy(x)
    before = cumsum(cast(_flat(mask), dtype=dtypes.int64), 0)
    place = reshape_to(maximum(before - 1, 0), shape=tuple(mask.shape))
    return where(mask, take(_flat(source), place, axis=0), x)


@masked_scatter.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)) > 0, rng.normal(size=(12,)))
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(4,)) > 0, rng.normal(size=(3, 4)))


# ---- parts replaced ---------------------------------------------------------------------------------------
def _replaced(name: str, input: Tensor, src: Tensor, axis: int, start: Any, stop: Any, step: int) -> Tensor:
    starts = tuple(start if i == axis else 0 for i in range(input.ndim))
    stops = tuple(stop if i == axis else d for i, d in enumerate(input.shape))
    steps = tuple(step if i == axis else 1 for i in range(input.ndim))
    part = tuple(slice_size(a, b, s) for a, b, s in zip(starts, stops, steps))
    if src.ndim != len(part) or not all(map(dims.equal, src.shape, part)):
        raise ShapeError(f"{name}: the source does not fit", expected=part, actual=src.type)
    return slice_write(input, narrow_to(src, input.dtype), starts=starts, stops=stops, steps=steps)


@function
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """``input`` with ``out[start:end:step]``, along ``dim``, replaced by ``src``."""
    axis = axis_of("slice_scatter", dim, input.ndim)
    first, last, step = slice_bounds(slice(start, end, step), input.shape[axis])
    return _replaced("slice_scatter", input, src, axis, first, last, step)


@slice_scatter.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 3)), rng.normal(size=(2, 3)), 0, 1, -1, 2)
    yield Sample(rng.normal(size=(3, 5)), rng.normal(size=(3, 4)), dim=1, start=1)


@function
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """``input`` with ``out[index]``, along ``dim``, replaced by ``src``."""
    axis = axis_of("select_scatter", dim, input.ndim)
    size = input.shape[axis]
    if not (dims.holds("<=", -size, index) and dims.holds("<", index, size)):
        raise TensorIndexError("select_scatter: index out of range", expected=f"{-size} to {size - 1}", actual=index)
    start = index + size if index < 0 else index
    if src.ndim != input.ndim - 1:
        raise ShapeError("select_scatter: the source lacks only that axis", expected=input.type, actual=src.type)
    src = reshape_to(src, shape=(*src.shape[:axis], 1, *src.shape[axis:]))
    return _replaced("select_scatter", input, src, axis, start, start + 1, 1)


@select_scatter.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 3)), rng.normal(size=(3,)), 0, -2)
    yield Sample(rng.normal(size=(3, 5)), rng.normal(size=(3,)), 1, 4)
