"""Gather, scatter and the ``index_*`` family under PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import DTypeError, ShapeError, TensorIndexError, ValueRangeError
from jitorch.ir import kernel as k
from jitorch.ops.batching import register, shifting
from jitorch.ops.gather import gather_axis, put, scatter_axis, take
from jitorch.ops.helpers import at_axis, filled, narrow_to, number_of
from jitorch.ops.index import axis_of
from jitorch.ops.math import where
from jitorch.ops.normalize import PYTHON_NUMBERS
from jitorch.ops.padding import part
from jitorch.ops.reduce import highest, lowest
from jitorch.ops.registry import Sample, function, op, primitive
from jitorch.ops.structure import broadcast_to, cast, copy, reshape_to, slice_axes

Tensor = Any


# ---- the primitive for the reductions that add and replace do not cover ---------------------------------
@primitive(lowering="scatter")
def scatter_extreme(x: Tensor, index: Tensor, y: Tensor, *, axis: int, how: str) -> Tensor:
    """``x`` with ``x[i, index[i, j, k], k]`` combined with ``y[i, j, k]`` for ``axis`` 1.

    ``how``: ``amax``, ``amin`` or ``prod``.
    """


@scatter_extreme.type_rule
def _(x, index, y, *, axis, how):
    return scatter_axis.rules["type"](x, index, y, axis=axis, accumulate=False)


@scatter_extreme.numpy
def _(x, index, y, *, axis, how):
    ufunc = {"amax": np.maximum, "amin": np.minimum, "prod": np.multiply}[how]
    size = x.shape[axis]
    if index.size and (index.min() < 0 or index.max() >= size):
        raise TensorIndexError("scatter_reduce: index out of range", expected=f"0 to {size - 1}", actual=index.max())
    result = np.array(x)
    axes = np.ogrid[tuple(map(slice, index.shape))]
    ufunc.at(result, tuple(index if i == axis else a for i, a in enumerate(axes)), y)
    return result


@scatter_extreme.rule("combine")
def _(old, new, *, axis, how):
    return k.call({"amax": "maximum", "amin": "minimum", "prod": "mul"}[how], old, new)


@scatter_extreme.rule("neutral")
def _(dtype, *, axis, how):
    return k.const({"amax": lowest, "amin": highest, "prod": lambda dtype: 1}[how](dtype), dtype)


@scatter_extreme.vjp
def _(g, out, x, index, y, *, axis, how):
    if how == "prod":
        zero_x, zero_y = x == 0, y == 0
        safe_x, safe_y = where(zero_x, 1.0, x), where(zero_y, 1.0, y)
        product = scatter_extreme(safe_x, index, safe_y, axis=axis, how="prod")
        counted = (cast(z, dtype=dtypes.int64) for z in (zero_x, zero_y))
        zeros = scatter_axis(next(counted), index, next(counted), axis=axis, accumulate=True)
        found = gather_axis(zeros, index, axis=axis)
        grad_y = gather_axis(g * product, index, axis=axis)
        return _over(g * product, safe_x, zero_x, zeros), None, _over(grad_y, safe_y, zero_y, found)
    wins_x = cast(x == out, dtype=g.dtype)
    wins_y = cast(y == gather_axis(out, index, axis=axis), dtype=g.dtype)
    winners = scatter_axis(wins_x, index, wins_y, axis=axis, accumulate=True)
    share = g / winners
    return share * wins_x, None, gather_axis(share, index, axis=axis) * wins_y


def _over(product: Tensor, factor: Tensor, is_zero: Tensor, zeros: Tensor) -> Tensor:
    """What a factor's gradient is: the product of the others, 0 if a 0 is among them."""
    others = zeros - cast(is_zero, dtype=dtypes.int64)
    return where(others == 0, product / factor, 0.0)


register(shifting, scatter_extreme, names=("axis",))


@scatter_extreme.samples
def _(rng):
    index = np.array([[0, 1, 1], [3, 2, 0], [0, 0, 1]])
    for how in ("amax", "amin", "prod"):
        yield Sample(rng.normal(size=(3, 4)) + 3, index, rng.normal(size=(3, 3)) + 3, axis=1, how=how)


# ---- gather and scatter -------------------------------------------------------------------------------------
def _as_index(name: str, index: Tensor) -> Tensor:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise DTypeError(f"{name}: the index must be int64 or int32", expected="int64", actual=index.type)
    return index


def _along(name: str, input: Tensor, dim: int, index: Tensor) -> tuple[Tensor, Tensor, int]:
    """0-d operands as vectors of one element, and the axis from the start."""
    _as_index(name, index)
    axis = axis_of(name, dim, input.ndim)
    x = input if input.ndim else reshape_to(input, shape=(1,))
    index = index if index.ndim else reshape_to(index, shape=(1,))
    if x.ndim != index.ndim and not dims.equal(index.numel(), 0):
        raise ShapeError(f"{name}: index and input need as many axes", expected=input.type, actual=index.type)
    return x, index, axis


def _not_negative(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """``index`` with what is negative out of range."""
    return where(index < 0, number_of(x.shape[axis]), index)


@op(places=())
def gather_counted(x: Tensor, index: Tensor, *, axis: int) -> Tensor:
    """`gather_axis` by indices that all count from the start."""
    return gather_axis(x, _not_negative(x, index, axis), axis=axis)


@op(places=())
def scatter_counted(x: Tensor, index: Tensor, y: Tensor, *, axis: int, accumulate: bool) -> Tensor:
    """`scatter_axis` by indices that all count from the start."""
    return scatter_axis(x, _not_negative(x, index, axis), y, axis=axis, accumulate=accumulate)


gather_counted.samples(lambda rng: [Sample(rng.normal(size=(3, 4)), rng.integers(0, 4, size=(3, 2)), axis=1)])


@scatter_counted.samples
def _(rng):
    x, y, index = rng.normal(size=(3, 4)), rng.normal(size=(3, 2)), rng.integers(0, 4, size=(3, 2))
    yield Sample(x, index, y, axis=1, accumulate=True)


def _like(result: Tensor, input: Tensor) -> Tensor:
    return result if result.ndim == input.ndim else reshape_to(result, shape=tuple(input.shape))


@function
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """One element an index: ``out[i][j] = input[index[i][j]][j]`` for ``dim`` 0.  Gradients are dense."""
    if dims.equal(index.numel(), 0):
        nothing = part(reshape_to(input, shape=(input.numel(),)), 0, 0, 0)
        return reshape_to(nothing, shape=tuple(index.shape))
    x, at, axis = _along("gather", input, dim, index)
    out = gather_counted(x, at, axis=axis)
    return out if out.ndim == index.ndim else reshape_to(out, shape=tuple(index.shape))


@gather.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 1, rng.integers(0, 4, size=(3, 2)))
    yield Sample(rng.normal(size=(3, 4)), -2, rng.integers(0, 3, size=(2, 3)))
    yield Sample(rng.normal(size=()), 0, np.array(0))


def _source(name: str, input: Tensor, index: Tensor, src: Tensor, axis: int) -> Tensor:
    """The part of ``src`` that has an index, in the dtype of ``input``."""
    src = src if src.ndim else reshape_to(src, shape=(1,))
    if src.dtype is not input.dtype:
        raise DTypeError(f"{name}: input and source must have one dtype", expected=input.type, actual=src.type)
    if src.ndim != index.ndim or any(dims.less(a, b) for a, b in zip(src.shape, index.shape)):
        raise ShapeError(f"{name}: the source is smaller than the index", expected=index.type, actual=src.type)
    if tuple(src.shape) == tuple(index.shape):
        return src
    return slice_axes(src, starts=(0,) * src.ndim, stops=tuple(index.shape), steps=(1,) * src.ndim)


@function(inplace=True)
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, reduce: str | None = None, value: Any = None
) -> Tensor:
    """``input`` with ``out[index[i][j]][j] = src[i][j]`` for ``dim`` 0; ``src`` is a tensor or a number.

    ``reduce``: ``"add"`` or ``"multiply"`` combines instead.  Without it the last of equal indices wins.
    """
    src = value if src is None else src
    x, at, axis = _along("scatter", input, dim, index)
    if dims.equal(index.numel(), 0):
        return copy(input)
    if isinstance(src, PYTHON_NUMBERS) or not hasattr(src, "ndim"):
        y = broadcast_to(cast(src, dtype=input.dtype), shape=tuple(at.shape))
    else:
        y = _source("scatter", input, at, src, axis)
    if reduce not in (None, "add", "multiply"):
        raise ValueRangeError("scatter: unknown reduction", expected="None, 'add' or 'multiply'", actual=reduce)
    if reduce == "multiply":
        return _like(scatter_extreme(x, _not_negative(x, at, axis), y, axis=axis, how="prod"), input)
    return _like(_added(x, at, y, axis) if reduce else scatter_counted(x, at, y, axis=axis, accumulate=False), input)


def _added(x: Tensor, at: Tensor, y: Tensor, axis: int) -> Tensor:
    """``y`` added at the indices; for bool, or-ed."""
    if x.dtype is dtypes.bool_:
        return scatter_extreme(x, _not_negative(x, at, axis), y, axis=axis, how="amax")
    return scatter_counted(x, at, y, axis=axis, accumulate=True)


@scatter.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 1, np.array([[0, 2], [1, 3], [3, 0]]), rng.normal(size=(3, 2)))
    yield Sample(rng.normal(size=(3, 4)), 0, np.array([[0, 2, 1, 0]]), 1.5)
    yield Sample(rng.normal(size=(3,)), 0, np.array([0, 0]), rng.normal(size=(3,)), reduce="add")


@function(inplace=True)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """``input`` with ``src[i][j]`` added to ``out[index[i][j]][j]`` for ``dim`` 0."""
    x, at, axis = _along("scatter_add", input, dim, index)
    if dims.equal(index.numel(), 0):
        return copy(input)
    return _like(_added(x, at, _source("scatter_add", input, at, src, axis), axis), input)


@scatter_add.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 1, rng.integers(0, 4, size=(3, 6)), rng.normal(size=(3, 6)))
    yield Sample(rng.normal(size=()), 0, np.array(0), rng.normal(size=()))


@function(inplace=True)
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """``input`` combined with ``src`` at the indices by ``"sum"``, ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``.

    Without ``include_self`` the old elements take no part where there is a new one.
    """
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise ValueRangeError(
            "scatter_reduce: unknown reduction", expected="sum, prod, mean, amax or amin", actual=reduce
        )
    x, at, axis = _along("scatter_reduce", input, dim, index)
    if dims.equal(index.numel(), 0):
        return copy(input)
    y = _source("scatter_reduce", input, at, src, axis)
    return _like(_combined(x, _not_negative(x, at, axis), y, axis, reduce, include_self), input)


def _combined(x: Tensor, at: Tensor, y: Tensor, axis: int, how: str, include_self: bool) -> Tensor:
    if not include_self:
        neutral = _neutral(x.dtype, how)
        x = scatter_axis(x, at, filled(neutral, x.dtype, y.shape), axis=axis, accumulate=False)
    if how in ("amax", "amin", "prod"):
        return scatter_extreme(x, at, y, axis=axis, how=how)
    total = _added(x, at, y, axis)
    if how == "sum":
        return total
    ones, nothing = filled(1, x.dtype, y.shape), filled(int(include_self), x.dtype, x.shape)
    count = scatter_axis(nothing, at, ones, axis=axis, accumulate=True)
    count = where(count == 0, 1, count)
    return total / count if x.dtype.is_floating_point else total // count


def _neutral(dtype: dtypes.DType, how: str) -> Any:
    if how in ("amax", "amin"):
        return lowest(dtype) if how == "amax" else highest(dtype)
    return 1 if how == "prod" else 0


@scatter_reduce.samples
def _(rng):
    index = np.array([[0, 1, 1], [3, 2, 0]])
    for how in ("sum", "prod", "mean", "amax", "amin"):
        for include in (True, False):
            yield Sample(rng.normal(size=(2, 4)) + 3, 1, index, rng.normal(size=(2, 3)) + 3, how, include_self=include)


# ---- whole slices ---------------------------------------------------------------------------------------------
def _slices(name: str, input: Tensor, dim: int, index: Tensor) -> tuple[Tensor, Tensor, int]:
    """`_along` for an index vector that names whole slices."""
    _as_index(name, index)
    if index.ndim > 1:
        raise ShapeError(f"{name}: the index has at most one axis", actual=index.type)
    axis = axis_of(name, dim, input.ndim)
    x = input if input.ndim else reshape_to(input, shape=(1,))
    index = index if index.ndim else reshape_to(index, shape=(1,))
    return x, index, axis


@op(places=())
def take_counted(x: Tensor, index: Tensor, *, axis: int) -> Tensor:
    """`take` by indices that all count from the start."""
    return take(x, _not_negative(x, index, axis), axis=axis)


@op(places=())
def put_counted(x: Tensor, index: Tensor, y: Tensor, *, axis: int, accumulate: bool) -> Tensor:
    """`put` by indices that all count from the start."""
    return put(x, _not_negative(x, index, axis), y, axis=axis, accumulate=accumulate)


take_counted.samples(lambda rng: [Sample(rng.normal(size=(3, 4)), rng.integers(0, 4, size=(5,)), axis=1)])


@put_counted.samples
def _(rng):
    x, y, index = rng.normal(size=(3, 4)), rng.normal(size=(3, 2)), rng.permutation(4)[:2]
    yield Sample(x, index, y, axis=1, accumulate=True)


@function
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of ``input`` along ``dim`` that the vector ``index`` names."""
    x, at, axis = _slices("index_select", input, dim, index)
    out = take_counted(x, at, axis=axis)
    return out if input.ndim else reshape_to(out, shape=())


@index_select.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 1, np.array([2, 0, 2]))
    yield Sample(rng.normal(size=(3, 4)), -2, np.array(1))


def _slice_source(name: str, x: Tensor, at: Tensor, source: Tensor, axis: int) -> Tensor:
    if source.dtype is not x.dtype:
        raise DTypeError(f"{name}: input and source must have one dtype", expected=x.type, actual=source.type)
    expected = (*x.shape[:axis], at.shape[0], *x.shape[axis + 1 :])
    source = source if source.ndim else reshape_to(source, shape=(1,) * len(expected))
    if source.ndim != len(expected) or not all(map(dims.equal, source.shape, expected)):
        raise ShapeError(f"{name}: the source does not fit", expected=expected, actual=source.type)
    return source


@function(inplace=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """``input`` with ``alpha`` times the slices of ``source`` added at ``index`` along ``dim``."""
    x, at, axis = _slices("index_add", input, dim, index)
    y = _slice_source("index_add", x, at, source, axis)
    y = y if isinstance(alpha, int) and alpha == 1 else narrow_to(y * alpha, x.dtype)
    return _like(put_counted(x, at, y, axis=axis, accumulate=True), input)


@index_add.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 1, np.array([2, 0, 2]), rng.normal(size=(3, 3)), alpha=0.5)
    yield Sample(rng.normal(size=(3, 4)), 0, np.array([1]), rng.normal(size=(1, 4)))


@function(inplace=True)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """``input`` with the slices at ``index`` along ``dim`` replaced by those of ``source``."""
    x, at, axis = _slices("index_copy", input, dim, index)
    y = _slice_source("index_copy", x, at, source, axis)
    return _like(put_counted(x, at, y, axis=axis, accumulate=False), input)


@index_copy.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 1, np.array([2, 0]), rng.normal(size=(3, 2)))


@function(inplace=True)
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """``input`` with the slices at ``index`` along ``dim`` filled with ``value``, a number or 0-d tensor."""
    x, at, axis = _slices("index_fill", input, dim, index)
    if hasattr(value, "ndim") and value.ndim:
        raise ShapeError("index_fill: the value must be a number or a 0-d tensor", actual=value.type)
    nothing, all_ = filled(False, dtypes.bool_, (x.shape[axis],)), filled(True, dtypes.bool_, at.shape)
    named = put_counted(nothing, at, all_, axis=0, accumulate=False)
    return _like(where(at_axis(named, axis, x.ndim), cast(value, dtype=x.dtype), x), input)


@index_fill.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 1, np.array([2, 0]), 1.5)
    yield Sample(rng.normal(size=(3, 4)), 0, np.array([1]), rng.normal(size=()))


@function(inplace=True)
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """``input`` with the slices of ``source`` combined in at ``index`` by ``reduce``: prod, mean, amax or amin."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ValueRangeError("index_reduce: unknown reduction", expected="prod, mean, amax or amin", actual=reduce)
    x, at, axis = _slices("index_reduce", input, dim, index)
    y = _slice_source("index_reduce", x, at, source, axis)
    if dims.equal(y.numel(), 0):
        return copy(input)
    at = _not_negative(x, at, axis)
    along = broadcast_to(
        reshape_to(at, shape=tuple(at.shape[0] if i == axis else 1 for i in range(x.ndim))), shape=tuple(y.shape)
    )
    return _like(_combined(x, along, y, axis, reduce, include_self), input)


@index_reduce.samples
def _(rng):
    for how in ("prod", "mean", "amax", "amin"):
        yield Sample(
            rng.normal(size=(3, 4)) + 3, 1, np.array([2, 0, 2]), rng.normal(size=(3, 3)) + 3, how, include_self=False
        )
