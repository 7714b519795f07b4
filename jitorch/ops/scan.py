"""Running reductions along an axis.

A ``scan`` primitive folds the elements along ``axis`` by the monoid of its ``reduce`` rule and
gives every intermediate state.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import Category, DType
from jitorch.errors import DTypeError
from jitorch.ir import kernel as k
from jitorch.ir.monoid import Reduction
from jitorch.ops import results
from jitorch.ops.arguments import axis_of, check_tensor
from jitorch.ops.batching import register, shifting
from jitorch.ops.create import constant
from jitorch.ops.gather import scatter_axis
from jitorch.ops.math import exp, log, neg, where
from jitorch.ops.reduce import arg_reduction, highest, lowest
from jitorch.ops.registry import Sample, function, op, primitive
from jitorch.ops.structure import broadcast_to, cast, copy, flip_axes

Tensor = Any


def _samples(rng: Any) -> Any:
    yield Sample(rng.normal(size=(2, 3, 4)), axis=1)
    yield Sample(rng.normal(size=(5,)), axis=0)


@primitive(lowering="scan")
def scan_sum(x: Tensor, *, axis: int) -> Tensor:
    """Running sum; its gradient is the running sum from the other end."""


@primitive(lowering="scan")
def scan_prod(x: Tensor, *, axis: int) -> Tensor:
    """Running product."""


@primitive(lowering="scan")
def scan_logaddexp(x: Tensor, *, axis: int) -> Tensor:
    """Running ``log(sum(exp(x)))``."""


@primitive(lowering="scan")
def scan_max(x: Tensor, *, axis: int) -> Tensor:
    """The greatest element so far: that at the position that `scan_argmax` gives."""


@primitive(lowering="scan")
def scan_min(x: Tensor, *, axis: int) -> Tensor:
    """The least element so far: that at the position that `scan_argmin` gives."""


@primitive(lowering="scan")
def scan_argmax(x: Tensor, *, axis: int) -> Tensor:
    """Position of the last of the greatest elements so far; a NaN is greater than all."""


@primitive(lowering="scan")
def scan_argmin(x: Tensor, *, axis: int) -> Tensor:
    """Position of the last of the least elements so far; a NaN is less than all."""


for _entry in (scan_sum, scan_prod, scan_logaddexp, scan_max, scan_min):
    _entry.type_rule(lambda x, *, axis: x)
    _entry.samples(_samples)
for _entry in (scan_argmax, scan_argmin):
    _entry.type_rule(lambda x, *, axis: x.with_dtype(dtypes.int64))
    _entry.samples(_samples)


@scan_sum.numpy
def _(x, *, axis):
    return np.add.accumulate(x, axis, dtype=x.dtype)


@scan_sum.reduce
def _(x, *, axis):
    return Reduction((k.const(0, x.dtype),), lambda a, b: (k.call("add", a[0], b[0]),))


@scan_sum.vjp
def _(g, out, x, *, axis):
    return (_from_end(g, axis),)


def _from_end(x: Tensor, axis: int) -> Tensor:
    """Running sum from the last element to the first."""
    return flip_axes(scan_sum(flip_axes(x, axes=(axis,)), axis=axis), axes=(axis,))


@scan_prod.numpy
def _(x, *, axis):
    return np.multiply.accumulate(x, axis, dtype=x.dtype)


@scan_prod.reduce
def _(x, *, axis):
    return Reduction((k.const(1, x.dtype),), lambda a, b: (k.call("mul", a[0], b[0]),))


@scan_prod.vjp
def _(g, out, x, *, axis):
    # Up to the first 0 divide by the element.  The 0 itself gets the products without it; what lies
    # behind it only changes products that are 0.
    zero = x == 0
    zeros = scan_sum(cast(zero, dtype=dtypes.int64), axis=axis)
    first = zero & (zeros == 1)
    before = _from_end(g * out, axis) / where(zero, 1.0, x)
    without_first = _from_end(g * scan_prod(where(first, 1.0, x), axis=axis), axis)
    return (where(zeros == 0, before, where(first, without_first, 0.0)),)


@scan_logaddexp.numpy
def _(x, *, axis):
    wide = x if x.dtype in (np.float32, np.float64) else x.astype(np.float32)
    return np.logaddexp.accumulate(wide, axis).astype(x.dtype)


@scan_logaddexp.reduce
def _(x, *, axis):
    """The greatest element so far, and the sum of the exponentials of all less it: the logarithm is in no chain."""
    wide = x.dtype if x.dtype in (dtypes.float32, dtypes.float64) else dtypes.float32
    one = k.const(1, wide)

    def combine(a: Any, b: Any) -> Any:
        top, low = k.call("maximum", a[0], b[0]), k.call("minimum", a[0], b[0])
        # Equal operands may both be infinite, and their difference NaN.
        factor = k.call("exp", k.where(top.eq(low), k.const(0, wide), low - top))
        is_first = b[0] <= a[0]
        return top, k.where(is_first, a[1], b[1]) + k.where(is_first, b[1], a[1]) * factor

    def result(state: Any) -> Any:
        return (k.cast(state[0] + k.call("log", state[1]), x.dtype),)

    init = (k.const(-np.inf, wide), k.const(0, wide))
    return Reduction(init, combine, lambda v, position: (k.cast(v, wide), one), result)


@scan_logaddexp.vjp
def _(g, out, x, *, axis):
    return (sum_after(g, x, out, axis=axis),)


def _by_sign(weights: Tensor, part: Any) -> Tensor:
    """``part(log(weights))`` for weights of either sign."""
    return part(log(where(weights > 0, weights, 0.0))) - part(log(where(weights < 0, neg(weights), 0.0)))


@op(places=())
def sum_after(weights: Tensor, x: Tensor, out: Tensor, *, axis: int) -> Tensor:
    """``sum of weights[j] * exp(x[i] - out[j]) over j >= i``, without overflow where ``out`` runs after ``x``."""

    def part(logarithm: Tensor) -> Tensor:
        backwards = flip_axes(logarithm - out, axes=(axis,))
        return exp(flip_axes(scan_logaddexp(backwards, axis=axis), axes=(axis,)) + x)

    return _by_sign(weights, part)


@op(places=())
def sum_before(weights: Tensor, x: Tensor, out: Tensor, *, axis: int) -> Tensor:
    """``sum of weights[i] * exp(x[i] - out[j]) over i <= j``: the adjoint of `sum_after`."""
    return _by_sign(weights, lambda logarithm: exp(scan_logaddexp(logarithm + x, axis=axis) - out))


# Derived gradients would go through the logarithm of weights that are 0.
@sum_after.vjp
def _(g, result, weights, x, out, *, axis):
    adjoint = sum_before(g, x, out, axis=axis)
    return adjoint, g * result, -weights * adjoint


@sum_before.vjp
def _(g, result, weights, x, out, *, axis):
    adjoint = sum_after(g, x, out, axis=axis)
    return adjoint, weights * adjoint, -g * result


for _entry in (sum_after, sum_before):
    _entry.samples(lambda rng: [Sample(*rng.normal(size=(3, 2, 4)), axis=1)])


def _last_position(x: Any, axis: int, beats: Any, accumulate: Any) -> Any:
    best = accumulate(x, axis)
    shape = [1] * x.ndim
    shape[axis] = -1
    places = np.arange(x.shape[axis]).reshape(shape)
    reached = beats(x, best) | (x != x)
    return np.maximum.accumulate(np.where(reached, places, 0), axis)


@scan_argmax.numpy
def _(x, *, axis):
    return _last_position(x, axis, np.greater_equal, np.maximum.accumulate)


@scan_argmin.numpy
def _(x, *, axis):
    return _last_position(x, axis, np.less_equal, np.minimum.accumulate)


@scan_argmax.reduce
def _(x, *, axis):
    return arg_reduction(x, "ge", lowest(x.dtype))


@scan_argmin.reduce
def _(x, *, axis):
    return arg_reduction(x, "le", highest(x.dtype))


@scan_max.numpy
def _(x, *, axis):
    return np.take_along_axis(x, scan_argmax.rules["numpy"](x, axis=axis), axis)


@scan_min.numpy
def _(x, *, axis):
    return np.take_along_axis(x, scan_argmin.rules["numpy"](x, axis=axis), axis)


def _element(reduction: Reduction) -> Reduction:
    """What finds a position, giving the element there."""
    return replace(reduction, result=lambda state: (state[0],))


@scan_max.reduce
def _(x, *, axis):
    return _element(arg_reduction(x, "ge", lowest(x.dtype)))


@scan_min.reduce
def _(x, *, axis):
    return _element(arg_reduction(x, "le", highest(x.dtype)))


def _to_positions(g: Tensor, positions: Tensor, axis: int) -> Tensor:
    zeros = broadcast_to(constant(value=0, dtype=g.dtype), shape=tuple(g.shape))
    return scatter_axis(zeros, positions, g, axis=axis, accumulate=True)


@scan_max.vjp
def _(g, out, x, *, axis):
    return (_to_positions(g, scan_argmax(x, axis=axis), axis),)


@scan_min.vjp
def _(g, out, x, *, axis):
    return (_to_positions(g, scan_argmin(x, axis=axis), axis),)


# Both results of one op: where a kernel runs, it goes along each line once.
@op(places=())
def max_so_far(x: Tensor, *, axis: int) -> tuple[Tensor, Tensor]:
    """The greatest element so far and its position; the gradient goes there."""
    return scan_max(x, axis=axis), scan_argmax(x, axis=axis)


@op(places=())
def min_so_far(x: Tensor, *, axis: int) -> tuple[Tensor, Tensor]:
    """The least element so far and its position; the gradient goes there."""
    return scan_min(x, axis=axis), scan_argmin(x, axis=axis)


for _entry in (max_so_far, min_so_far):
    _entry.vjp(lambda g, out, x, *, axis: (_to_positions(g[0], out[1], axis),))
    _entry.samples(_samples)


# ---- public -----------------------------------------------------------------------------------------
def _dim_samples(rng: Any) -> Any:
    yield Sample(rng.normal(size=(2, 3, 4)), 1)
    yield Sample(rng.normal(size=(2, 3)), dim=-1)
    yield Sample(rng.normal(size=()), 0)
    yield Sample(rng.normal(size=(0, 2)), 0)


def _accumulated(x: Tensor, dtype: Any) -> Tensor:
    wanted = dtype if dtype is not None else dtypes.int64 if x.dtype.category <= Category.INT else x.dtype
    return x if x.dtype is wanted else cast(x, dtype=wanted)


@op(inplace=True)
def cumsum(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """Running sum along ``dim``; integers are added in int64."""
    check_tensor("cumsum", input)
    axis = axis_of("cumsum", dim, input.ndim)
    x = _accumulated(input, dtype)
    return scan_sum(x, axis=axis) if x.ndim else copy(x)


@op(inplace=True)
def cumprod(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """Running product along ``dim``; integers are multiplied in int64."""
    check_tensor("cumprod", input)
    axis = axis_of("cumprod", dim, input.ndim)
    x = _accumulated(input, dtype)
    return scan_prod(x, axis=axis) if x.ndim else copy(x)


@op
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """Running ``log(sum(exp(input)))`` along ``dim``."""
    check_tensor("logcumsumexp", input)
    if input.dtype.category is not Category.FLOAT:
        raise DTypeError("logcumsumexp: expected floating point", actual=input.type)
    axis = axis_of("logcumsumexp", dim, input.ndim)
    return scan_logaddexp(input, axis=axis) if input.ndim else copy(input)


for _entry in (cumsum, cumprod, logcumsumexp):
    _entry.samples(_dim_samples)


def _running(name: str, x: Tensor, dim: int, scan: Any, named: Any) -> Any:
    check_tensor(name, x)
    axis = axis_of(name, dim, x.ndim)
    if not x.ndim:
        return named(copy(x), cast(x != x, dtype=dtypes.int64) * 0)
    return named(*scan(x, axis=axis))


@function
def cummax(input: Tensor, dim: int) -> Any:
    """``(values, indices)`` of the greatest element so far; of equal ones the last."""
    return _running("cummax", input, dim, max_so_far, results.CumMax)


@function
def cummin(input: Tensor, dim: int) -> Any:
    """``(values, indices)`` of the least element so far; of equal ones the last."""
    return _running("cummin", input, dim, min_so_far, results.CumMin)


for _entry in (cummax, cummin):
    _entry.samples(_dim_samples)


register(
    shifting, scan_sum, scan_prod, scan_logaddexp, scan_max, scan_min, scan_argmax, scan_argmin, max_so_far, min_so_far,
    sum_after, sum_before, names=("axis",),
)  # fmt: skip
