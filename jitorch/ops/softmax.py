"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from jitorch import dims, dtypes
from jitorch.dtypes import DType
from jitorch.errors import DTypeError
from jitorch.ops.batching import register
from jitorch.ops.helpers import kept, narrow_to, sum_over, widen
from jitorch.ops.index import axis_of
from jitorch.ops.math import exp, log
from jitorch.ops.reduce import reduce_max
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import copy, reshape_to

Tensor = Any


def _shifted(x: Tensor, axis: int) -> Tensor:
    """``x`` less its greatest element along ``axis``: exp cannot overflow."""
    return x - kept(reduce_max(x, axes=(axis,)), x, (axis,))


@op(name="softmax", places=())
def softmax_op(input: Tensor, *, axis: int) -> Tensor:
    """``exp(x) / sum(exp(x))`` along ``axis``, shifted so that nothing overflows."""
    if input.ndim == 0:
        return input * 0.0 + 1.0
    if dims.equal(input.shape[axis], 0):
        return copy(input)
    e = exp(_shifted(widen(input), axis))
    # One division a row.  The sum is at least 1, that of the greatest element: its reciprocal cannot overflow.
    return narrow_to(e * (1 / sum_over(e, (axis,))), input.dtype)


@softmax_op.vjp
def _(g, out, input, *, axis):
    if input.ndim == 0:
        return (g * 0.0,)
    y, g = widen(out), widen(g)
    weighted = g * y
    return (narrow_to(weighted - y * sum_over(weighted, (axis,)), input.dtype),)


@softmax_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), axis=1)
    yield Sample(rng.normal(size=(3,)) * 100, axis=0)
    yield Sample(rng.normal(size=(2, 0)), axis=1)
    yield Sample(rng.normal(size=()), axis=0)


@op(name="log_softmax", places=())
def log_softmax_op(input: Tensor, *, axis: int) -> Tensor:
    """``log(softmax(x))`` along ``axis``, without forming the softmax."""
    if input.ndim == 0:
        return input * 0.0
    if dims.equal(input.shape[axis], 0):
        return copy(input)
    z = _shifted(widen(input), axis)
    return narrow_to(z - log(sum_over(exp(z), (axis,))), input.dtype)


@log_softmax_op.vjp
def _(g, out, input, *, axis):
    if input.ndim == 0:
        return (g * 0.0,)
    y, g = widen(out), widen(g)
    return (narrow_to(g - exp(y) * sum_over(g, (axis,)), input.dtype),)


@log_softmax_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), axis=2)
    yield Sample(rng.normal(size=(3,)) * 100, axis=0)
    yield Sample(rng.normal(size=(0, 3)), axis=1)
    yield Sample(rng.normal(size=()), axis=0)


def _prepare(name: str, input: Tensor, dim: int | None, dtype: DType | None) -> tuple[Tensor, int]:
    """The operand in the dtype asked for and the axis counted from the start.

    Without ``dim`` PyTorch's old rule holds: axis 0 of tensors with 0, 1 or 3 axes, else axis 1.
    """
    if dtype is not None:
        input = narrow_to(input, dtypes.as_dtype(dtype))
    if not input.dtype.is_floating_point:
        raise DTypeError(
            f"{name}: needs a floating point tensor", expected="a floating point dtype", actual=input.type,
            hint="pass dtype=jitorch.float32",
        )  # fmt: skip
    if dim is None:
        dim = 0 if input.ndim in (0, 1, 3) else 1
    return input, axis_of(name, dim, input.ndim)


@function(places=("torch", "method", "special"))
def softmax(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """``exp(input) / sum(exp(input))`` along ``dim``."""
    x, axis = _prepare("softmax", input, dim, dtype)
    return softmax_op(x, axis=axis)


@function(places=("torch", "method", "special"))
def log_softmax(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """``log(softmax(input, dim))``, without overflow."""
    x, axis = _prepare("log_softmax", input, dim, dtype)
    return log_softmax_op(x, axis=axis)


@function(name="softmax", places=("nn",))
def nn_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None) -> Tensor:
    """``exp(input) / sum(exp(input))`` along ``dim``."""
    x, axis = _prepare("softmax", input, dim, dtype)
    return softmax_op(x, axis=axis)


@function(name="log_softmax", places=("nn",))
def nn_log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None) -> Tensor:
    """``log(softmax(input, dim))``, without overflow."""
    x, axis = _prepare("log_softmax", input, dim, dtype)
    return log_softmax_op(x, axis=axis)


@function(places=("nn",))
def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None) -> Tensor:
    """``softmax(-input)`` along ``dim``."""
    x, axis = _prepare("softmin", input, dim, dtype)
    return softmax_op(-x, axis=axis)


def _public_samples(rng: Any) -> Any:
    yield Sample(rng.normal(size=(2, 3)), 1)
    yield Sample(rng.normal(size=(2, 3, 4)), dim=-2)
    yield Sample(rng.integers(0, 9, size=(2, 3)), dim=0, dtype=dtypes.float64, grad=False)


for _entry in (softmax, log_softmax, nn_softmax, nn_log_softmax, softmin):
    _entry.samples(_public_samples)


def _many(op: Any) -> Any:
    """The batch rule of an op along one axis; what has no axes is one element of it."""

    def rule(size: Any, batched: Any, input: Tensor, *, axis: int) -> Tensor:
        if input.ndim > 1:
            return op(input, axis=axis + 1)
        return reshape_to(op(reshape_to(input, shape=(size, 1)), axis=1), shape=(size,))

    return rule


register(_many, softmax_op, log_softmax_op)
