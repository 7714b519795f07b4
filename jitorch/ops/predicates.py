"""Tests of single numbers, and functions of sign, NaN and infinity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import Category
from jitorch.errors import DTypeError, ValueRangeError
from jitorch.ops.arguments import check_tensor
from jitorch.ops.helpers import narrow_to
from jitorch.ops.math import abs, sign, where
from jitorch.ops.normalize import is_number, result_type
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import cast, copy

Tensor = Operand = Any


def _special(rng: Any) -> Any:
    yield Sample(np.array([0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan]), grad=False)
    yield Sample(rng.integers(-2, 3, size=(2, 3)))


def _no_gradient(entry: Any) -> None:
    entry.vjp(lambda g, out, *operands, **attrs: (None,) * len(operands))


@op
def isnan(input: Tensor) -> Tensor:
    """Whether each element is NaN."""
    return input != input


@op
def isinf(input: Tensor) -> Tensor:
    """Whether each element is plus or minus infinity."""
    if not input.dtype.is_floating_point:
        return input != input
    return abs(input) == math.inf


@op
def isfinite(input: Tensor) -> Tensor:
    """Whether each element is neither NaN nor infinite."""
    if not input.dtype.is_floating_point:
        return input == input
    return abs(input) < math.inf


@op(places=("torch", "method"))
def isposinf(input: Tensor) -> Tensor:
    """Whether each element is plus infinity."""
    if not input.dtype.is_floating_point:
        return input != input
    return input == math.inf


@op(places=("torch", "method"))
def isneginf(input: Tensor) -> Tensor:
    """Whether each element is minus infinity."""
    if not input.dtype.is_floating_point:
        return input != input
    return input == -math.inf


@op
def isreal(input: Tensor) -> Tensor:
    """Whether each element is a real number: always, as complex tensors do not come here."""
    return (input == input) | (input != input)


@op
def signbit(input: Tensor) -> Tensor:
    """Whether each element is negative; true for -0.0, too."""
    if input.dtype is dtypes.bool_:
        return input & ~input
    if not input.dtype.is_floating_point:
        return input < 0
    # 1 / -0.0 is minus infinity.
    return (input < 0) | ((input == 0) & (1.0 / input < 0))


for _entry in (isnan, isinf, isfinite, isposinf, isneginf, isreal, signbit):
    _entry.samples(_special)
    _no_gradient(_entry)


@op(name="nan_to_num", places=())
def nan_to_num_op(input: Tensor, nan: float, posinf: float, neginf: float) -> Tensor:
    """NaN and the infinities replaced."""
    out = where(input == math.inf, posinf, where(input == -math.inf, neginf, input))
    return where(input != input, nan, out)


@nan_to_num_op.samples
def _(rng):
    yield Sample(np.array([0.0, 1.5, np.inf, -np.inf, np.nan]), 1.0, 2.0, -3.0, grad=False)


@function(inplace=True)
def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN and the infinities replaced: by 0 and the dtype's greatest and least number, if not given."""
    if not input.dtype.is_floating_point:
        return copy(input)
    limit = dtypes.finfo(input.dtype).max
    return nan_to_num_op(
        input, 0.0 if nan is None else nan, limit if posinf is None else posinf, -limit if neginf is None else neginf
    )


@nan_to_num.samples
def _(rng):
    yield Sample(np.array([0.0, 1.5, np.inf, -np.inf, np.nan]), grad=False)
    yield Sample(np.array([0.0, 1.5, np.inf, -np.inf, np.nan]), 1.0, posinf=2.0, grad=False)
    yield Sample(rng.normal(size=(2, 3)))


@function(inplace=True)
def sgn(input: Tensor) -> Tensor:
    """-1, 0 or 1 by the sign of each element; NaN stays NaN, where PyTorch gives 0."""
    return sign(input)


@sgn.samples
def _(rng):
    yield Sample(np.array([0.0, -0.0, 1.5, -np.inf]), grad=False)
    yield Sample(rng.integers(-2, 3, size=(2, 3)))


@op(name="copysign", places=())
def copysign_op(input: Tensor, other: Tensor) -> Tensor:
    """The size of ``input`` with the sign of ``other``; -0.0 counts as negative."""
    size = abs(input)
    return where(signbit(other), -size, size)


@copysign_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(3,)), grad=False)
    yield Sample(np.array([1.0, -2.0]), np.array([-0.0, 0.0]), grad=False)


@function(inplace=True)
def copysign(input: Tensor, other: Any) -> Tensor:
    """The size of ``input`` with the sign of ``other``, in floating point; -0.0 counts as negative."""
    other = other if hasattr(other, "ndim") else cast(other, dtype=dtypes.get_default())
    dtype = result_type((input, other))
    dtype = dtype if dtype.category >= Category.FLOAT else dtypes.get_default()
    return copysign_op(narrow_to(input, dtype), other)


@copysign.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), -2.0)
    yield Sample(rng.integers(-3, 4, size=(4,)), np.array([-0.0, 0.0, 1.0, -1.0]))


@op(name="heaviside", places=())
def heaviside_op(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above it, ``values`` at 0."""
    return where(input == 0, values, cast(input > 0, dtype=input.dtype))


@heaviside_op.samples
def _(rng):
    yield Sample(np.array([-1.0, 0.0, 2.0]), np.array([0.5, 0.5, 0.5]), grad=False)


@function(inplace=True)
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above it, ``values`` at 0."""
    if input.dtype is not values.dtype:
        raise DTypeError("heaviside: operands must have one dtype", expected=input.type, actual=values.type)
    return heaviside_op(input, values)


@heaviside.samples
def _(rng):
    yield Sample(np.array([-1.0, 0.0, 2.0]), np.array(0.5), grad=False)


@op(name="isclose", places=())
def isclose_op(input: Tensor, other: Tensor, rtol: float, atol: float, *, equal_nan: bool) -> Tensor:
    """``|input - other| <= atol + rtol * |other|``; equal infinities are close."""
    close = input == other
    if input.dtype.is_floating_point:
        limit = atol + rtol * abs(other)
        close = close | (isfinite(input) & isfinite(other) & (abs(input - other) <= limit))
        return close | ((input != input) & (other != other)) if equal_nan else close
    if input.dtype is dtypes.bool_:
        return close
    # Differences of integers are measured in double precision, which does not wrap.
    x, y = cast(input, dtype=dtypes.float64), cast(other, dtype=dtypes.float64)
    return close | (abs(x - y) <= atol + rtol * abs(y))


_no_gradient(isclose_op)


@isclose_op.samples
def _(rng):
    x = rng.normal(size=(2, 3))
    yield Sample(x, x + 1e-4 * rng.normal(size=(2, 3)), 1e-5, 1e-4, equal_nan=False, grad=False)
    yield Sample(np.array([np.nan, np.inf]), np.array([np.nan, np.inf]), 1e-5, 1e-8, equal_nan=True, grad=False)


@function
def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether ``|input - other| <= atol + rtol * |other|``, elementwise."""
    check_tensor("isclose", input)
    check_tensor("isclose", other)
    if input.dtype is not other.dtype:
        raise DTypeError("isclose: operands must have one dtype", expected=input.type, actual=other.type)
    for name, value in (("rtol", rtol), ("atol", atol)):
        if is_number(value) and value < 0:
            raise ValueRangeError(f"isclose: {name} must not be negative", expected="at least 0", actual=value)
    return isclose_op(input, other, rtol, atol, equal_nan=bool(equal_nan))


@isclose.samples
def _(rng):
    x = rng.normal(size=(2, 3))
    yield Sample(x, x + 1e-4, atol=1e-3, grad=False)
    yield Sample(rng.integers(0, 3, size=(4,)), rng.integers(0, 3, size=(4,)))
