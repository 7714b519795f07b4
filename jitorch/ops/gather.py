"""Data-dependent reads and writes along an axis: the primitives under indexing, embedding and scatter.

Indices are integers; a negative one counts from the end.  One out of range is an error: eager
raises at once, compiled code through the program's status.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.dtypes import Category
from jitorch.errors import DTypeError, ShapeError, TensorIndexError
from jitorch.ir import kernel as k
from jitorch.ops.batching import along, move_axis, register, repeated, shifting
from jitorch.ops.create import constant
from jitorch.ops.registry import Sample, primitive
from jitorch.ops.structure import broadcast_to, reshape_to, same_type

Tensor = Any


def _check_index(name: str, index: Any) -> None:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise DTypeError(f"{name}: indices must be int64 or int32", expected="int64", actual=index)


def _in_range(name: str, index: Any, size: int) -> Any:
    bad = (index < -size) | (index >= size)
    if bad.any():
        raise TensorIndexError(
            f"{name}: index out of range", expected=f"{-size} to {size - 1}", actual=int(np.asarray(index)[bad].flat[0])
        )
    return np.where(index < 0, index + size, index)


@primitive
def take(x: Tensor, index: Tensor, *, axis: int) -> Tensor:
    """Whole slices: ``out = x[:, index, :]`` with the axes of ``index`` in place of ``axis``."""


@take.type_rule
def _(x, index, *, axis):
    _check_index("index", index)
    return x.with_shape((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


@take.numpy
def _(x, index, *, axis):
    return np.take(x, _in_range("index", index, x.shape[axis]), axis)


@take.pull
def _(index, x, where, *, axis):
    n = len(where.shape)
    inner = x.picked(where, tuple(index[axis : axis + n]), axis)
    return x.at((*index[:axis], inner, *index[axis + n :]))


@take.vjp
def _(g, out, x, index, *, axis):
    zeros = broadcast_to(constant(value=0, dtype=g.dtype), shape=tuple(x.shape))
    return put(zeros, index, g, axis=axis, accumulate=True), None


@take.batch
def _(size, batched, x, index, *, axis):
    if not batched[1]:
        return take(x, index, axis=axis + 1)
    if not batched[0]:
        return move_axis(take(x, index, axis=axis), axis, 0)
    before, after = x.shape[1 : axis + 1], x.shape[axis + 2 :]
    found = gather_axis(x, along(index, before, after), axis=axis + 1)
    return reshape_to(found, shape=(size, *before, *index.shape[1:], *after))


@take.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 3)), rng.integers(-4, 4, size=(2, 2)), axis=0)
    yield Sample(rng.normal(size=(2, 4, 3)), rng.integers(0, 4, size=(5,)), axis=1)


@primitive(lowering="scatter")
def put(x: Tensor, index: Tensor, y: Tensor, *, axis: int, accumulate: bool) -> Tensor:
    """``x`` with the slices that ``index`` names replaced by (or increased by) those of ``y``.

    Without ``accumulate``, the last of equal indices wins.
    """


@put.type_rule
def _(x, index, y, *, axis, accumulate):
    _check_index("index_put", index)
    part = x.with_shape((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))
    if not same_type(y, part):
        raise ShapeError("index assignment: the value does not fit", expected=part, actual=y)
    return x


@put.numpy
def _(x, index, y, *, axis, accumulate):
    result = np.array(x)
    where = (slice(None),) * axis + (_in_range("index_put", index, x.shape[axis]),)
    if accumulate:
        np.add.at(result, where, y)
    else:
        result[where] = y
    return result


def _add_or_replace(old, new, *, axis, accumulate):
    return k.call("add", old, new) if accumulate else new


def _zero_of_sum(dtype, *, axis, accumulate):
    """What an element may be combined with first; None where the order matters."""
    return k.const(0, dtype) if accumulate and dtype is not dtypes.bool_ else None


put.rule("combine")(_add_or_replace)
put.rule("neutral")(_zero_of_sum)


@put.vjp
def _(g, out, x, index, y, *, axis, accumulate):
    taken = take(g, index, axis=axis)
    if accumulate:
        return g, None, taken
    zeros = broadcast_to(constant(value=0, dtype=g.dtype), shape=tuple(y.shape))
    return put(g, index, zeros, axis=axis, accumulate=False), None, taken


@put.batch
def _(size, batched, x, index, y, *, axis, accumulate):
    x, y = repeated(size, batched[0], x), repeated(size, batched[2], y)
    if not batched[1]:
        return put(x, index, y, axis=axis + 1, accumulate=accumulate)
    at = along(index, x.shape[1 : axis + 1], x.shape[axis + 2 :])
    return scatter_axis(x, at, reshape_to(y, shape=tuple(at.shape)), axis=axis + 1, accumulate=accumulate)


@put.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 3)), rng.permutation(4)[:2], rng.normal(size=(2, 3)), axis=0, accumulate=False)
    yield Sample(rng.normal(size=(2, 4)), np.array([1, 1, 0]), rng.normal(size=(2, 3)), axis=1, accumulate=True)


@primitive
def gather_axis(x: Tensor, index: Tensor, *, axis: int) -> Tensor:
    """One element an index: ``out[i, j, k] = x[i, index[i, j, k], k]`` for ``axis`` 1."""


def _check_along(name: str, x: Any, index: Any, axis: int) -> None:
    _check_index(name, index)
    if x.rank != index.rank or any(
        not dims.less_equal(b, a) for i, (a, b) in enumerate(zip(x.shape, index.shape)) if i != axis
    ):
        raise ShapeError(f"{name}: the index must not be larger than the tensor", expected=x, actual=index)


@gather_axis.type_rule
def _(x, index, *, axis):
    _check_along("gather", x, index, axis)
    return x.with_shape(index.shape)


def _grid(index: Any, axis: int, position: Any) -> tuple[Any, ...]:
    axes = np.ogrid[tuple(map(slice, index.shape))]
    return tuple(position if i == axis else a for i, a in enumerate(axes))


@gather_axis.numpy
def _(x, index, *, axis):
    return x[_grid(index, axis, _in_range("gather", index, x.shape[axis]))]


@gather_axis.pull
def _(index, x, where, *, axis):
    inner = x.picked(where, index, axis)
    return x.at((*index[:axis], inner, *index[axis + 1 :]))


@gather_axis.vjp
def _(g, out, x, index, *, axis):
    zeros = broadcast_to(constant(value=0, dtype=g.dtype), shape=tuple(x.shape))
    return scatter_axis(zeros, index, g, axis=axis, accumulate=True), None


@gather_axis.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.integers(0, 4, size=(3, 2)), axis=1)
    yield Sample(rng.normal(size=(3, 4)), rng.integers(0, 3, size=(2, 3)), axis=0)


@primitive(lowering="scatter")
def scatter_axis(x: Tensor, index: Tensor, y: Tensor, *, axis: int, accumulate: bool) -> Tensor:
    """``x`` with ``x[i, index[i, j, k], k]`` replaced by (or increased by) ``y[i, j, k]`` for ``axis`` 1."""


@scatter_axis.type_rule
def _(x, index, y, *, axis, accumulate):
    _check_along("scatter", x, index, axis)
    if not same_type(y, x.with_shape(index.shape)):
        raise ShapeError("scatter: source and index differ", expected=x.with_shape(index.shape), actual=y)
    if accumulate and x.dtype.category is Category.BOOL:
        raise DTypeError("scatter_add: bool tensors cannot be added to", actual=x)
    return x


@scatter_axis.numpy
def _(x, index, y, *, axis, accumulate):
    result = np.array(x)
    where = _grid(index, axis, _in_range("scatter", index, x.shape[axis]))
    if accumulate:
        np.add.at(result, where, y)
    else:
        result[where] = y
    return result


scatter_axis.rule("combine")(_add_or_replace)
scatter_axis.rule("neutral")(_zero_of_sum)


@scatter_axis.vjp
def _(g, out, x, index, y, *, axis, accumulate):
    taken = gather_axis(g, index, axis=axis)
    if accumulate:
        return g, None, taken
    zeros = broadcast_to(constant(value=0, dtype=g.dtype), shape=tuple(y.shape))
    return scatter_axis(g, index, zeros, axis=axis, accumulate=False), None, taken


@scatter_axis.samples
def _(rng):
    yield Sample(
        rng.normal(size=(3, 4)), rng.integers(0, 4, size=(3, 2)), rng.normal(size=(3, 2)), axis=1, accumulate=True
    )
    yield Sample(rng.normal(size=(3, 4)), np.array([[0, 2, 1, 0]]), rng.normal(size=(1, 4)), axis=0, accumulate=False)


register(shifting, gather_axis, scatter_axis, names=("axis",))
