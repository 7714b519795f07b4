"""Elementwise composites: limits, selection, interpolation and fused multiply-adds."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import Category
from jitorch.errors import ArgumentError, DTypeError, ShapeError
from jitorch.ops.index import fit_shape
from jitorch.ops.math import where as where_op
from jitorch.ops.normalize import PYTHON_NUMBERS, result_type
from jitorch.ops.positions import coordinates_of
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import cast

Tensor = Operand = Number = Any


# ---- limits -----------------------------------------------------------------------------------------
@op(name="clamp", places=())
def clamp_op(input: Operand, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """``input`` no less than ``min`` and no greater than ``max``; where ``min > max`` it is ``max``.

    At and within the limits the gradient goes to ``input``, beyond them to the limit.
    """
    out = input
    if min is not None:
        out = where_op(_beats(out < min, min), min, out)
    if max is not None:
        out = where_op(_beats(out > max, max), max, out)
    return out


def _beats(beyond: Tensor, limit: Any) -> Tensor:
    """Where the limit holds; one that is NaN wins, as in `maximum`."""
    is_float = limit.type.dtype.category is Category.FLOAT if hasattr(limit, "type") else isinstance(limit, float)
    return beyond | (limit != limit) if is_float else beyond


@clamp_op.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), -0.5, 0.5)
    yield Sample(rng.normal(size=(3, 4)), None, rng.normal(size=(4,)))
    yield Sample(rng.integers(-9, 9, size=(5,)), -3, None)


@function(aliases=("clip",), inplace=True)
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``input`` limited to ``min`` .. ``max``: numbers, or tensors that broadcast with it."""
    if min is None and max is None:
        raise ArgumentError("clamp: needs min, max or both")
    if input.dtype.category is Category.BOOL or input.dtype.is_complex:
        raise DTypeError("clamp: needs real numbers", expected="an integer or floating point dtype", actual=input.type)
    return clamp_op(input, min, max)


@clamp.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), -0.5, 0.5)
    yield Sample(rng.normal(size=(3, 4)), max=0.2)
    yield Sample(rng.integers(-9, 9, size=(5,)), min=-3)
    yield Sample(rng.normal(size=()), min=0)
    yield Sample(rng.normal(size=(0, 2)), min=0, max=1)


@function(inplace=True)
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """``input`` no less than ``min``."""
    return clamp_op(input, min, None)


@function(inplace=True)
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """``input`` no greater than ``max``."""
    return clamp_op(input, None, max)


@clamp_min.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 0.1)
    yield Sample(rng.normal(size=(3, 4)), min=rng.normal(size=(4,)))


@clamp_max.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 0.1)
    yield Sample(rng.normal(size=(3, 4)), max=rng.normal(size=(4,)))


# ---- selection --------------------------------------------------------------------------------------
@function
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """``input`` where ``condition`` holds, else ``other``; with ``condition`` alone, the indices where it holds.

    The indices are a tuple with one int64 vector for each axis.
    """
    if input is None and other is None:
        return tuple(coordinates_of(condition, "where(condition)"))
    if input is None or other is None:
        raise ArgumentError("where: give both input and other, or neither")
    if condition.dtype is not dtypes.bool_:
        raise DTypeError("where: the condition must be bool", expected="bool", actual=condition.type)
    if isinstance(input, PYTHON_NUMBERS) and isinstance(other, PYTHON_NUMBERS):
        # The condition has a dtype but does not take part in promotion.
        number = result_type((input, other))
        dtype = dtypes.get_default() if number is dtypes.float64 else number
        return where_op(condition, *(fit_shape(v, dtype, ()) for v in (input, other)))
    return where_op(condition, input, other)


@where.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)) > 0, rng.normal(size=(2, 3)), rng.normal(size=(3,)))
    yield Sample(rng.normal(size=(2, 3)) > 0, rng.normal(size=(2, 3)), 0.5)
    yield Sample(rng.normal(size=(2, 3)) > 0, 1.0, 0)


@op(name="masked_fill", places=())
def masked_fill_op(input: Tensor, mask: Tensor, value: Operand) -> Tensor:
    """``input`` with ``value``, in its dtype, where ``mask`` holds."""
    return where_op(mask, cast(value, dtype=input.dtype), input)


@masked_fill_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(3,)) > 0, 2.5)
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)) > 0, rng.normal(size=()))


@function(places=("torch", "method"), inplace=True)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``input`` with ``value`` (a number or a 0-d tensor) where the bool ``mask`` holds."""
    if mask.dtype is not dtypes.bool_:
        raise DTypeError("masked_fill: the mask must be bool", expected="bool", actual=mask.type)
    if hasattr(value, "ndim") and value.ndim:
        raise ShapeError("masked_fill: the value must be a number or a 0-d tensor", actual=value.type)
    category = dtypes.as_dtype(type(value)).category if isinstance(value, PYTHON_NUMBERS) else value.type.dtype.category
    if category > input.dtype.category and not (category is Category.INT and input.dtype is dtypes.bool_):
        raise DTypeError("masked_fill: the value does not fit the dtype", expected=input.dtype, actual=value)
    return masked_fill_op(input, mask, value)


@masked_fill.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(3,)) > 0, 2.5)
    yield Sample(rng.integers(0, 9, size=(2, 3)), rng.normal(size=(2, 1)) > 0, -1)
    yield Sample(rng.normal(size=()), np.asarray(True), 0.0)


# ---- interpolation and multiply-adds -------------------------------------------------------------------
@op(inplace=True)
def lerp(input: Tensor, end: Tensor, weight: Operand) -> Tensor:
    """``input + weight * (end - input)``."""
    return input + weight * (end - input)


@lerp.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), 0.3)
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(3,)), rng.uniform(size=(2, 1)))


@op(inplace=True)
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """``input + value * tensor1 * tensor2``."""
    return input + value * tensor1 * tensor2


@addcmul.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), rng.normal(size=(3,)), value=0.5)
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 1)), rng.normal(size=(3,)))


@op(inplace=True)
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """``input + value * tensor1 / tensor2``."""
    return input + value * tensor1 / tensor2


@addcdiv.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), rng.uniform(1, 2, size=(3,)), value=0.5)
