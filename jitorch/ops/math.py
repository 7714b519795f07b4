"""Elementwise arithmetic and functions: one machine scalar each, and what is composed of them.

A ``vjp`` gets the cotangent ``g`` of the output, the output and the operands, and gives one
cotangent per operand.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

from jitorch import dtypes
from jitorch.dtypes import Category
from jitorch.errors import ArgumentError, DTypeError
from jitorch.ops.complex_parts import conj, imag_part, real_part
from jitorch.ops.registry import Sample, elementwise, function, op
from jitorch.ops.structure import copy

Tensor = Operand = Number = Any


def _pair(rng: Any) -> Any:
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=(2, 1)), rng.normal(size=(3,)))


# ---- arithmetic ---------------------------------------------------------------------------------
@elementwise(places=())
def add(x: Operand, y: Operand) -> Tensor:
    """``x + y``."""


@add.vjp
def _(g, out, x, y):
    return g, g


add.samples(_pair)


@elementwise(places=())
def sub(x: Operand, y: Operand) -> Tensor:
    """``x - y``."""


@sub.vjp
def _(g, out, x, y):
    return g, -g


sub.samples(_pair)


@elementwise(places=("torch", "method"), aliases=("multiply",))
def mul(input: Operand, other: Operand) -> Tensor:
    """``input * other``."""


@mul.vjp
def _(g, out, x, y):
    return g * conj(y), g * conj(x)


mul.samples(_pair)


@elementwise(promote="float", places=())
def div(x: Operand, y: Operand) -> Tensor:
    """True division ``x / y``; integers become the default float dtype."""


@div.vjp
def _(g, out, x, y):
    return g / conj(y), -g * conj(out) / conj(y)


@div.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.uniform(1, 2, size=(3,)))


@elementwise(scalar="floordiv", places=("torch", "method"))
def floor_divide(input: Operand, other: Operand) -> Tensor:
    """``floor(input / other)``; an integer divisor of 0 gives 0."""


@floor_divide.vjp
def _(g, out, x, y):
    return None, None


@floor_divide.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.uniform(1, 2, size=(3,)), grad=False)
    yield Sample(rng.integers(-9, 9, size=(5,)), rng.integers(1, 4, size=(5,)))


@elementwise(scalar="mod", places=("torch", "method"))
def remainder(input: Operand, other: Operand) -> Tensor:
    """``input - other * floor(input / other)``: Python's ``%``, with the sign of ``other``."""


@remainder.vjp
def _(g, out, x, y):
    return g, -g * floor_divide(x, y)


@remainder.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.uniform(1, 2, size=(3,)), grad=False)
    yield Sample(rng.integers(-9, 9, size=(5,)), rng.integers(1, 4, size=(5,)))


@elementwise(places=("torch", "method"))
def fmod(input: Operand, other: Operand) -> Tensor:
    """``input - other * trunc(input / other)``: C's ``%``, with the sign of ``input``."""


@fmod.vjp
def _(g, out, x, y):
    return g, -g * trunc(x / y)


@fmod.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.uniform(1, 2, size=(3,)), grad=False)


@elementwise(places=("torch", "method"))
def pow(input: Operand, exponent: Operand) -> Tensor:
    """``input`` to the power ``exponent``, elementwise."""


@pow.vjp
def _(g, out, x, y):
    by_base = where(y == 0, 0.0, g * conj(y * pow(x, y - 1)))
    if x.type.dtype.is_complex:
        return by_base, g * conj(out * log(x))
    by_exponent = g * where(x == 0, where(y >= 0, 0.0, out), out * log(x))
    return by_base, by_exponent


@pow.samples
def _(rng):
    yield Sample(rng.uniform(0.5, 2, size=(2, 3)), rng.normal(size=(3,)))
    yield Sample(rng.integers(-3, 4, size=(6,)), rng.integers(0, 4, size=(6,)))


@elementwise(aliases=("negative",))
def neg(input: Operand) -> Tensor:
    """``-input``."""


@neg.vjp
def _(g, out, x):
    return (-g,)


@elementwise(places=())
def abs(input: Operand) -> Tensor:
    """Absolute value of real numbers; its gradient at 0 is 0."""


@abs.vjp
def _(g, out, x):
    return (g * sign(x),)


@function(name="abs", aliases=("absolute",), inplace=True)
def abs_(input: Tensor) -> Tensor:
    """Absolute value, of complex numbers the modulus; its gradient at 0 is 0."""
    return modulus(input) if input.dtype.is_complex else abs(input)


@abs_.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3)))


@op(places=())
def modulus(x: Tensor) -> Tensor:
    """The absolute value of complex numbers, without overflow."""
    real, imag = abs(real_part(x)), abs(imag_part(x))
    high, low = maximum(real, imag), minimum(real, imag)
    plain = (high == 0) | (high == math.inf)
    ratio = where(plain, 0.0, low / where(plain, 1.0, high))
    return high * sqrt(1.0 + ratio * ratio)


@modulus.vjp
def _(g, out, x):
    zero = out == 0
    return (where(zero, 0.0, x * (g / where(zero, 1.0, out))),)


@modulus.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3)))


@elementwise
def sign(input: Operand) -> Tensor:
    """-1, 0 or 1 by the sign of each element; NaN stays NaN, where PyTorch gives 0."""


@sign.vjp
def _(g, out, x):
    return (None,)


@elementwise
def maximum(input: Operand, other: Operand) -> Tensor:
    """The greater of two elements, NaN if either is; at ties both operands get half of the gradient."""


def _by_winner(g: Tensor, x: Tensor, y: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    half = g * 0.5
    tie = x == y
    return where(tie, half, where(first, g, 0.0)), where(tie, half, where(first, 0.0, g))


@maximum.vjp
def _(g, out, x, y):
    return _by_winner(g, x, y, x > y)


maximum.samples(_pair)


@elementwise
def minimum(input: Operand, other: Operand) -> Tensor:
    """The lesser of two elements, NaN if either is; at ties both operands get half of the gradient."""


@minimum.vjp
def _(g, out, x, y):
    return _by_winner(g, x, y, x < y)


minimum.samples(_pair)


@function(name="add", inplace=True)
def add_(input: Tensor, other: Any, *, alpha: Number = 1) -> Tensor:
    """``input + alpha * other``."""
    return add(input, _scaled("add", other, alpha))


@function(name="sub", aliases=("subtract",), inplace=True)
def sub_(input: Tensor, other: Any, *, alpha: Number = 1) -> Tensor:
    """``input - alpha * other``."""
    if _is_bool(input) and _is_bool(other):
        raise DTypeError("sub: subtraction of bool tensors is not defined", hint="use ^ or logical_xor")
    return sub(input, _scaled("sub", other, alpha))


@function
def rsub(input: Tensor, other: Any, *, alpha: Number = 1) -> Tensor:
    """``other - alpha * input``."""
    return sub_(other, input, alpha=alpha)


def _is_bool(x: Any) -> bool:
    return isinstance(x, bool) or getattr(x, "dtype", None) is dtypes.bool_


def _scaled(name: str, other: Any, alpha: Any) -> Any:
    if type(alpha) is int and alpha == 1:
        return other
    if isinstance(alpha, float) and getattr(other, "dtype", dtypes.float32).category < Category.FLOAT:
        raise DTypeError(f"{name}: a float alpha needs floating point operands", actual=other.type)
    return other * alpha


@function(name="div", aliases=("divide",), inplace=True)
def div_(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """``input / other``; ``rounding_mode`` ``"floor"`` or ``"trunc"`` rounds, and keeps integers."""
    if rounding_mode is None:
        return div(input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        return trunc_divide(input, other)
    raise ArgumentError("div: unknown rounding_mode", expected="None, 'floor' or 'trunc'", actual=rounding_mode)


@op(places=())
def trunc_divide(x: Operand, y: Operand) -> Tensor:
    """``trunc(x / y)``, in integers for integers."""
    rest = fmod(x, y)
    if rest.dtype.category >= Category.FLOAT:
        return trunc(x / y)
    # Rounded down it is one less where the rest, which has the sign of x, has another than y.
    return floor_divide(x, y) + ((rest != 0) & ((rest < 0) != (y < 0)))


@trunc_divide.samples
def _(rng):
    yield Sample(rng.integers(-9, 9, size=(6,)), rng.integers(1, 4, size=(6,)))
    yield Sample(rng.normal(size=(4,)) * 4, rng.uniform(1, 2, size=(4,)), grad=False)


@function(places=("torch", "method"), inplace=True)
def true_divide(input: Tensor, other: Any) -> Tensor:
    """``input / other`` in floating point."""
    return div(input, other)


for _entry in (add_, sub_, rsub):

    @_entry.samples
    def _(rng):
        yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(3,)))
        yield Sample(rng.normal(size=(2, 3)), 1.5, alpha=2)
        yield Sample(rng.integers(0, 5, size=(4,)), rng.integers(0, 5, size=(4,)), alpha=3)


@div_.samples
def _(rng):
    for mode in (None, "floor", "trunc"):
        yield Sample(rng.normal(size=(2, 3)) * 4, rng.uniform(1, 2, size=(3,)), rounding_mode=mode)
        yield Sample(rng.integers(-9, 9, size=(5,)), 4, rounding_mode=mode)


@true_divide.samples
def _(rng):
    yield Sample(rng.integers(-9, 9, size=(5,)), 4)


# ---- comparison and logic -----------------------------------------------------------------------
def _no_gradient(*entries: Any) -> None:
    """Results are bool or integer: no operand gets a gradient."""
    for entry in entries:
        entry.vjp(lambda g, out, *operands: (None,) * len(operands))
        entry.samples(_compare_samples if len(entry.operands) == 2 else _single_samples)


def _compare_samples(rng: Any) -> Any:
    yield Sample(rng.integers(0, 3, size=(2, 3)), rng.integers(0, 3, size=(3,)))


def _single_samples(rng: Any) -> Any:
    yield Sample(rng.integers(0, 2, size=(2, 3)).astype(bool))


@elementwise
def eq(input: Operand, other: Operand) -> Tensor:
    """``input == other``."""


@elementwise(aliases=("not_equal",))
def ne(input: Operand, other: Operand) -> Tensor:
    """``input != other``."""


@elementwise(aliases=("less",))
def lt(input: Operand, other: Operand) -> Tensor:
    """``input < other``."""


@elementwise(aliases=("less_equal",))
def le(input: Operand, other: Operand) -> Tensor:
    """``input <= other``."""


@elementwise(aliases=("greater",))
def gt(input: Operand, other: Operand) -> Tensor:
    """``input > other``."""


@elementwise(aliases=("greater_equal",))
def ge(input: Operand, other: Operand) -> Tensor:
    """``input >= other``."""


@elementwise(scalar="and")
def bitwise_and(input: Operand, other: Operand) -> Tensor:
    """Bitwise and; logical and for bool."""


@elementwise(scalar="or")
def bitwise_or(input: Operand, other: Operand) -> Tensor:
    """Bitwise or; logical or for bool."""


@elementwise(scalar="xor")
def bitwise_xor(input: Operand, other: Operand) -> Tensor:
    """Bitwise exclusive or."""


@elementwise(scalar="not")
def bitwise_not(input: Operand) -> Tensor:
    """Bitwise not; logical not for bool."""


@elementwise(scalar="shl")
def bitwise_left_shift(input: Operand, other: Operand) -> Tensor:
    """``input << other``; a shift by the width or more gives 0."""


@elementwise(scalar="shr")
def bitwise_right_shift(input: Operand, other: Operand) -> Tensor:
    """``input >> other``, arithmetic for signed integers."""


@elementwise(scalar="and", promote="bool")
def logical_and(input: Operand, other: Operand) -> Tensor:
    """Both are non-zero."""


@elementwise(scalar="or", promote="bool")
def logical_or(input: Operand, other: Operand) -> Tensor:
    """At least one is non-zero."""


@elementwise(scalar="xor", promote="bool")
def logical_xor(input: Operand, other: Operand) -> Tensor:
    """Exactly one is non-zero."""


@elementwise(scalar="not", promote="bool")
def logical_not(input: Operand) -> Tensor:
    """The element is zero."""


_no_gradient(
    eq, ne, lt, le, gt, ge, bitwise_and, bitwise_or, bitwise_xor, bitwise_not, bitwise_left_shift,
    bitwise_right_shift, logical_and, logical_or, logical_xor, logical_not,
)  # fmt: skip


@elementwise(places=())
def where(condition: Operand, x: Operand, y: Operand) -> Tensor:
    """``x`` where ``condition`` holds, else ``y``."""


@where.vjp
def _(g, out, condition, x, y):
    return None, where(condition, g, 0.0), where(condition, 0.0, g)


@where.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)) > 0, rng.normal(size=(2, 3)), rng.normal(size=(3,)))


# ---- functions of one variable --------------------------------------------------------------------
def _normal(rng: Any) -> Any:
    yield Sample(rng.normal(size=(2, 3)))


def _positive(rng: Any) -> Any:
    yield Sample(rng.uniform(0.1, 3, size=(2, 3)))


def _unit(rng: Any) -> Any:
    yield Sample(rng.uniform(-0.9, 0.9, size=(2, 3)))


def _rounding(rng: Any) -> Any:
    yield Sample(rng.normal(size=(2, 3)) * 5, grad=False)


neg.samples(_normal)
abs.samples(_normal)
sign.samples(_rounding)


@elementwise(promote="float")
def exp(input: Operand) -> Tensor:
    """e to the power of each element."""


@exp.vjp
def _(g, out, x):
    return (g * conj(out),)


exp.samples(_normal)


@elementwise(promote="float")
def expm1(input: Operand) -> Tensor:
    """``exp(input) - 1``, accurate near 0."""


@expm1.vjp
def _(g, out, x):
    return (g * conj(out + 1),)


expm1.samples(_normal)


@elementwise(promote="float")
def log(input: Operand) -> Tensor:
    """Natural logarithm; NaN below 0."""


@log.vjp
def _(g, out, x):
    return (g / conj(x),)


log.samples(_positive)


@elementwise(promote="float")
def log2(input: Operand) -> Tensor:
    """Base-2 logarithm."""


@log2.vjp
def _(g, out, x):
    return (g / conj(x * math.log(2)),)


log2.samples(_positive)


@elementwise(promote="float")
def log10(input: Operand) -> Tensor:
    """Base-10 logarithm."""


@log10.vjp
def _(g, out, x):
    return (g / conj(x * math.log(10)),)


log10.samples(_positive)


@elementwise(promote="float")
def log1p(input: Operand) -> Tensor:
    """``log(1 + input)``, accurate near 0."""


@log1p.vjp
def _(g, out, x):
    return (g / conj(x + 1),)


log1p.samples(_positive)


@elementwise(promote="float")
def sqrt(input: Operand) -> Tensor:
    """Square root; NaN below 0."""


@sqrt.vjp
def _(g, out, x):
    return (g / conj(2 * out),)


sqrt.samples(_positive)


@op(inplace=True)
def rsqrt(input: Tensor) -> Tensor:
    """``1 / sqrt(input)``."""
    return 1.0 / sqrt(input)


rsqrt.samples(_positive)


@op(inplace=True)
def reciprocal(input: Tensor) -> Tensor:
    """``1 / input``."""
    return 1.0 / input


reciprocal.samples(_positive)


@op(inplace=True)
def square(input: Tensor) -> Tensor:
    """``input * input``; bool becomes int64."""
    return pow(input, 2) if input.dtype is dtypes.bool_ else input * input


square.samples(_normal)


@elementwise(promote="float")
def sin(input: Operand) -> Tensor:
    """Sine of an angle in radians."""


@sin.vjp
def _(g, out, x):
    return (g * conj(cos(x)),)


sin.samples(_normal)


@elementwise(promote="float")
def cos(input: Operand) -> Tensor:
    """Cosine of an angle in radians."""


@cos.vjp
def _(g, out, x):
    return (-g * conj(sin(x)),)


cos.samples(_normal)


@elementwise(promote="float")
def tan(input: Operand) -> Tensor:
    """Tangent of an angle in radians."""


@tan.vjp
def _(g, out, x):
    return (g * conj(1 + out * out),)


tan.samples(_unit)


@elementwise(promote="float", aliases=("arcsin",))
def asin(input: Operand) -> Tensor:
    """Inverse sine, in radians."""


@asin.vjp
def _(g, out, x):
    return (g / conj(sqrt(1 - x * x)),)


asin.samples(_unit)


@elementwise(promote="float", aliases=("arccos",))
def acos(input: Operand) -> Tensor:
    """Inverse cosine, in radians."""


@acos.vjp
def _(g, out, x):
    return (-g / conj(sqrt(1 - x * x)),)


acos.samples(_unit)


@elementwise(promote="float", aliases=("arctan",))
def atan(input: Operand) -> Tensor:
    """Inverse tangent, in radians."""


@atan.vjp
def _(g, out, x):
    return (g / conj(1 + x * x),)


atan.samples(_normal)


@elementwise(promote="float", aliases=("arctan2",))
def atan2(input: Operand, other: Operand) -> Tensor:
    """The angle, in radians, of the point with y ``input`` and x ``other``."""


@atan2.vjp
def _(g, out, y, x):
    square_of_radius = x * x + y * y
    return g * x / square_of_radius, -g * y / square_of_radius


atan2.samples(_pair)


@elementwise(promote="float")
def sinh(input: Operand) -> Tensor:
    """Hyperbolic sine."""


@sinh.vjp
def _(g, out, x):
    return (g * conj(cosh(x)),)


sinh.samples(_normal)


@elementwise(promote="float")
def cosh(input: Operand) -> Tensor:
    """Hyperbolic cosine."""


@cosh.vjp
def _(g, out, x):
    return (g * conj(sinh(x)),)


cosh.samples(_normal)


@elementwise(promote="float", places=("torch", "method", "nn"))
def tanh(input: Operand) -> Tensor:
    """Hyperbolic tangent."""


@tanh.vjp
def _(g, out, x):
    return (g * conj(1 - out * out),)


tanh.samples(_normal)


@elementwise(promote="float", places=("torch", "method", "special"))
def erf(input: Operand) -> Tensor:
    """Error function: ``2 / sqrt(pi)`` times the integral of ``exp(-t*t)`` from 0 to ``input``."""


@erf.vjp
def _(g, out, x):
    return (g * (2 / math.sqrt(math.pi)) * exp(-x * x),)


erf.samples(_normal)


@elementwise(places=())
def floor(input: Operand) -> Tensor:
    """Round towards minus infinity."""


@elementwise(places=())
def ceil(input: Operand) -> Tensor:
    """Round towards plus infinity."""


@elementwise(places=())
def trunc(input: Operand) -> Tensor:
    """Round towards zero."""


@elementwise(scalar="round", places=())
def round_half_even(x: Operand) -> Tensor:
    """Round to the nearest integer, halves to even."""


for _entry in (floor, ceil, trunc, round_half_even):
    _entry.vjp(lambda g, out, x: (None,))
    _entry.samples(_rounding)


def _rounded(input: Tensor, entry: Any) -> Tensor:
    """Integers are round already; bool is refused by the op."""
    return copy(input) if input.dtype.category is Category.INT else entry(input)


@function(name="floor", inplace=True)
def floor_(input: Tensor) -> Tensor:
    """Round towards minus infinity; integers stay as they are."""
    return _rounded(input, floor)


@function(name="ceil", inplace=True)
def ceil_(input: Tensor) -> Tensor:
    """Round towards plus infinity; integers stay as they are."""
    return _rounded(input, ceil)


@function(name="trunc", aliases=("fix",), inplace=True)
def trunc_(input: Tensor) -> Tensor:
    """Round towards zero; integers stay as they are."""
    return _rounded(input, trunc)


for _entry in (floor_, ceil_, trunc_):

    @_entry.samples
    def _(rng):
        yield Sample(rng.normal(size=(2, 3)) * 5, grad=False)
        yield Sample(rng.integers(-3, 4, size=(3,)))


@function(inplace=True)
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Round to ``decimals`` places, halves to even."""
    if input.dtype.category < Category.FLOAT:
        return copy(input)
    if decimals == 0:
        return round_half_even(input)
    scale = 10.0 ** builtins.abs(decimals)
    return round_half_even(input * scale) / scale if decimals > 0 else round_half_even(input / scale) * scale


@round.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)) * 5)
    yield Sample(rng.normal(size=(2, 3)) * 5, decimals=1)
    yield Sample(rng.integers(-9, 9, size=(5,)))
