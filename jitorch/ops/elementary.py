"""Elementary functions composed of the machine's: hyperbolic inverses, logarithms of sums, conversions."""

from __future__ import annotations

import math
from typing import Any

from jitorch import dtypes
from jitorch.dtypes import Category
from jitorch.errors import DTypeError
from jitorch.ops.activation import sigmoid
from jitorch.ops.helpers import as_float, float_dtype, narrow_to, widen
from jitorch.ops.math import (
    abs,
    cos,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    pow,
    remainder,
    sign,
    sin,
    sqrt,
    trunc,
    where,
)
from jitorch.ops.normalize import broadcast_shapes, result_type
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import broadcast_to, cast, copy

Tensor = Operand = Any


def _normal(rng: Any) -> Any:
    yield Sample(rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=()))


def _pair(rng: Any) -> Any:
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=(2, 1)), rng.normal(size=(3,)))


# ---- hyperbolic inverses ----------------------------------------------------------------------------------
@op(inplace=True, aliases=("arcsinh",))
def asinh(input: Tensor) -> Tensor:
    """Inverse hyperbolic sine: ``log1p(x + x**2 / (1 + sqrt(x**2 + 1)))``, for large x ``log(2 * x)``."""
    x = abs(as_float(input))
    large = x > 1e9
    small = where(large, 1.0, x)
    near = log1p(small + small * small / (1.0 + sqrt(small * small + 1.0)))
    size = where(large, log(where(large, x, 1.0)) + math.log(2.0), near)
    return narrow_to(size * sign(as_float(input)), float_dtype(input))


@asinh.vjp
def _(g, out, input):
    x = abs(widen(input))
    large = x > 1e9
    return (narrow_to(widen(g) / where(large, x, sqrt(where(large, 1.0, x * x) + 1.0)), input.dtype),)


@asinh.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)) * 3)


@op(inplace=True, aliases=("arccosh",))
def acosh(input: Tensor) -> Tensor:
    """Inverse hyperbolic cosine: ``log1p(t + sqrt(2 * t + t**2))`` with ``t = x - 1``; NaN below 1."""
    x = as_float(input)
    large = x > 1e9
    t = where(large, 1.0, x - 1.0)
    near = log1p(t + sqrt(2.0 * t + t * t))
    return narrow_to(where(large, log(where(large, x, 1.0)) + math.log(2.0), near), float_dtype(input))


@acosh.vjp
def _(g, out, input):
    x = widen(input)
    return (narrow_to(widen(g) / (sqrt(x - 1.0) * sqrt(x + 1.0)), input.dtype),)


@acosh.samples
def _(rng):
    yield Sample(rng.uniform(1.5, 4, size=(2, 3)))


@op(inplace=True, aliases=("arctanh",))
def atanh(input: Tensor) -> Tensor:
    """Inverse hyperbolic tangent: ``log1p(2 * x / (1 - x)) / 2``; NaN outside of -1 .. 1."""
    x = as_float(input)
    size = abs(x)
    return narrow_to(0.5 * log1p(2.0 * size / (1.0 - size)) * sign(x), float_dtype(input))


@atanh.vjp
def _(g, out, input):
    x = widen(input)
    return (narrow_to(widen(g) / ((1.0 - x) * (1.0 + x)), input.dtype),)


@atanh.samples
def _(rng):
    yield Sample(rng.uniform(-0.9, 0.9, size=(2, 3)))


# ---- powers, logarithms -----------------------------------------------------------------------------------
@op(inplace=True, places=("torch", "method", "special"))
def exp2(input: Tensor) -> Tensor:
    """2 to the power of each element."""
    return narrow_to(pow(2.0, as_float(input)), float_dtype(input))


@exp2.vjp
def _(g, out, input):
    return (g * out * math.log(2.0),)


exp2.samples(_normal)


@op
def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """``log(exp(input) + exp(other))`` without overflow."""
    high, low = maximum(input, other), minimum(input, other)
    # Equal infinities have no difference.
    gap = where(high == low, 0.0, low - high)
    return high + log1p(exp(gap))


logaddexp.samples(_pair)


@op
def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """``log2(2**input + 2**other)`` without overflow."""
    high, low = maximum(input, other), minimum(input, other)
    gap = where(high == low, 0.0, low - high)
    return high + log1p(exp2(gap)) * (1.0 / math.log(2.0))


logaddexp2.samples(_pair)


@op(inplace=True)
def hypot(input: Tensor, other: Tensor) -> Tensor:
    """``sqrt(input**2 + other**2)`` without overflow; its gradient at 0 is 0."""
    x, y = abs(input), abs(other)
    high, low = maximum(x, y), minimum(x, y)
    plain = (high == 0) | (high == math.inf)
    ratio = where(plain, 0.0, low / where(plain, 1.0, high))
    return high * sqrt(1.0 + ratio * ratio)


hypot.samples(_pair)


@op(name="xlogy", places=())
def xlogy_op(x: Tensor, y: Tensor) -> Tensor:
    """``x * log(y)``, 0 where ``x`` is 0 and ``y`` is not NaN."""
    return where(y != y, y, where(x == 0, 0.0, x * log(y)))


@xlogy_op.vjp
def _(g, out, x, y):
    nothing = (x == 0) & (y <= 0)
    return g * where(nothing, 0.0, log(where(nothing, 1.0, y))), g * x / y


@xlogy_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.uniform(0.5, 2, size=(2, 3)))


def as_floats(input: Any, other: Any) -> list[Tensor]:
    """Both operands as tensors of the floating point dtype of the result, broadcast."""
    dtype = result_type((input, other))
    dtype = dtype if dtype.category >= Category.FLOAT else dtypes.get_default()
    x, y = (narrow_to(v, dtype) if hasattr(v, "ndim") else cast(v, dtype=dtype) for v in (input, other))
    shape = broadcast_shapes("operands", [tuple(x.shape), tuple(y.shape)])
    return [v if tuple(v.shape) == shape else broadcast_to(v, shape=shape) for v in (x, y)]


@function(places=("torch", "method", "special"), inplace=True)
def xlogy(input: Any, other: Any) -> Tensor:
    """``input * log(other)``, 0 where ``input`` is 0."""
    return xlogy_op(*as_floats(input, other))


@xlogy.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.uniform(0.5, 2, size=(3,)))
    yield Sample(rng.normal(size=(2, 3)), 2.0)


@op(name="xlog1py", places=())
def xlog1py_op(x: Tensor, y: Tensor) -> Tensor:
    """``x * log1p(y)``, 0 where ``x`` is 0 and ``y`` is not NaN."""
    return where(y != y, y, where(x == 0, 0.0, x * log1p(y)))


@xlog1py_op.vjp
def _(g, out, x, y):
    nothing = (x == 0) & (y <= -1)
    return g * where(nothing, 0.0, log1p(where(nothing, 0.0, y))), g * x / (y + 1.0)


@xlog1py_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.uniform(0.5, 2, size=(2, 3)))


@function(places=("special",))
def xlog1py(input: Any, other: Any) -> Tensor:
    """``input * log1p(other)``, 0 where ``input`` is 0."""
    return xlog1py_op(*as_floats(input, other))


@xlog1py.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.uniform(0.5, 2, size=(3,)))


@function(inplace=True)
def float_power(input: Any, exponent: Any) -> Tensor:
    """``input`` to the power ``exponent``, in double precision."""
    x, y = (cast(v, dtype=dtypes.float64) for v in (input, exponent))
    return pow(x, y)


@float_power.samples
def _(rng):
    yield Sample(rng.uniform(0.5, 2, size=(2, 3)), 2)
    yield Sample(rng.integers(1, 5, size=(3,)), rng.normal(size=(3,)), grad=False)


@op(name="logit", places=())
def logit_op(input: Tensor, eps: float, *, limited: bool) -> Tensor:
    """``log(x / (1 - x))``; ``limited``: x within ``eps`` .. ``1 - eps``, without gradient beyond."""
    x = as_float(input)
    if limited:
        x = where(x < eps, eps, where(x > 1.0 - eps, 1.0 - eps, x))
    return narrow_to(log(x / (1.0 - x)), float_dtype(input))


@logit_op.samples
def _(rng):
    yield Sample(rng.uniform(0.1, 0.9, size=(2, 3)), 0.0, limited=False)
    yield Sample(rng.uniform(0, 1, size=(2, 3)), 0.2, limited=True)


@function(places=("torch", "method", "special"), inplace=True)
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """``log(x / (1 - x))``, the inverse of sigmoid; with ``eps``, of x limited to ``eps`` .. ``1 - eps``."""
    return logit_op(input, 0.0 if eps is None else eps, limited=eps is not None)


@logit.samples
def _(rng):
    yield Sample(rng.uniform(0.1, 0.9, size=(2, 3)))
    yield Sample(rng.uniform(0, 1, size=(2, 3)), eps=0.1)


# ---- conversions and small functions -----------------------------------------------------------------------
@op(inplace=True)
def deg2rad(input: Tensor) -> Tensor:
    """Degrees to radians."""
    return narrow_to(as_float(input) * (math.pi / 180.0), float_dtype(input))


@op(inplace=True)
def rad2deg(input: Tensor) -> Tensor:
    """Radians to degrees."""
    return narrow_to(as_float(input) * (180.0 / math.pi), float_dtype(input))


@op(inplace=True)
def frac(input: Tensor) -> Tensor:
    """``input - trunc(input)``."""
    return input - trunc(input)


@frac.vjp
def _(g, out, input):
    return (g,)


@op(inplace=True, places=("torch", "method", "special"))
def sinc(input: Tensor) -> Tensor:
    """``sin(pi * x) / (pi * x)``, 1 at 0."""
    x = as_float(input) * math.pi
    zero = x == 0
    safe = where(zero, 1.0, x)
    return narrow_to(where(zero, 1.0, sin(safe) / safe), float_dtype(input))


@sinc.vjp
def _(g, out, input):
    x = widen(input) * math.pi
    zero = x == 0
    safe = where(zero, 1.0, x)
    slope = where(zero, 0.0, (cos(safe) - sin(safe) / safe) / safe * math.pi)
    return (narrow_to(widen(g) * slope, input.dtype),)


@op
def positive(input: Tensor) -> Tensor:
    """``+input``, in memory of its own."""
    if input.dtype is dtypes.bool_:
        raise DTypeError("positive: bool has no sign", actual=input.type)
    return copy(input)


for _entry in (deg2rad, rad2deg, frac, sinc, positive):
    _entry.samples(_normal)


@op
def fmax(input: Operand, other: Operand) -> Tensor:
    """The greater of two elements; a NaN loses against a number."""
    return where((input >= other) | (other != other), input, other)


@op
def fmin(input: Operand, other: Operand) -> Tensor:
    """The lesser of two elements; a NaN loses against a number."""
    return where((input <= other) | (other != other), input, other)


fmax.samples(_pair)
fmin.samples(_pair)


@op(inplace=True)
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """``input * 2**other``, in the dtype of ``input`` if that is floating point."""
    return narrow_to(as_float(input) * pow(2.0, other), float_dtype(input))


@ldexp.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.integers(-3, 4, size=(3,)))


@op(inplace=True)
def gcd(input: Tensor, other: Tensor) -> Tensor:
    """Greatest common divisor of integers, not negative."""
    if input.dtype.category is not Category.INT or other.dtype.category is not Category.INT:
        raise DTypeError("gcd: needs integers", actual=f"{input.type}, {other.type}")
    x, y = abs(input), abs(other)
    zero = x * y * 0
    x, y = x + zero, y + zero
    # Euclid's algorithm ends, for 64-bit numbers, within 93 steps (the worst are neighbouring Fibonacci numbers).
    for _ in range(_GCD_STEPS[x.dtype.itemsize]):
        x, y = where(y == 0, x, y), where(y == 0, 0, remainder(x, where(y == 0, 1, y)))
    return abs(x)


_GCD_STEPS = {1: 13, 2: 24, 4: 47, 8: 93}


@gcd.samples
def _(rng):
    yield Sample(rng.integers(-60, 60, size=(6,)).astype("int16"), rng.integers(-60, 60, size=(6,)).astype("int16"))


@op(inplace=True)
def lcm(input: Tensor, other: Tensor) -> Tensor:
    """Least common multiple of integers, not negative."""
    divisor = gcd(input, other)
    return abs(input // where(divisor == 0, 1, divisor) * other)


@lcm.samples
def _(rng):
    yield Sample(rng.integers(-9, 9, size=(6,)).astype("int16"), rng.integers(-9, 9, size=(6,)).astype("int16"))


for _entry in (gcd, lcm):
    _entry.vjp(lambda g, out, x, y: (None, None))


# ---- names that live in `special` only ----------------------------------------------------------------------
@function(places=("special",))
def expit(input: Tensor) -> Tensor:
    """`sigmoid`."""
    return sigmoid(input)


@function(name="expm1", places=("special",))
def special_expm1(input: Tensor) -> Tensor:
    """`expm1`."""
    return expm1(input)


@function(name="log1p", places=("special",))
def special_log1p(input: Tensor) -> Tensor:
    """`log1p`."""
    return log1p(input)


for _entry in (expit, special_expm1, special_log1p):

    @_entry.samples
    def _(rng):
        yield Sample(rng.uniform(0, 2, size=(2, 3)))
