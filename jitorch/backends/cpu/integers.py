"""Integers by floating-point arithmetic: conversions that saturate, and quotients, for whole vectors at once.

Processors have neither instruction: a saturating conversion would be lanes one by one, and a division of integers takes
as long as ten of anything else.
"""

from __future__ import annotations

from typing import NamedTuple

from jitorch import dtypes
from jitorch.backends.cpu.at import At
from jitorch.backends.cpu.text import register_type, suffix
from jitorch.dtypes import DType

_MANTISSA = {dtypes.float32: 24, dtypes.float64: 53}
_WHOLE = 1.5 * 2.0**52
"""Added to a double below 2**51, it rounds to a whole number, which then are the low bits."""
_WHOLE_BITS = 0x4338000000000000


def truncated(at: At, x: str, target: DType) -> str:
    """A float as an integer, rounded towards zero, with the nearest limit of ``target`` beyond, and 0 for NaN."""
    if not target.is_signed and target.bits >= 32:
        return _saturated(at, x, target)
    source = dtypes.float64 if at.dtype is dtypes.float64 else dtypes.float32  # what half precision is held in
    least, most = _limits(target)
    excess = most.bit_length() - _MANTISSA[source]
    precise = most + 1 - (1 << excess) if excess > 0 else most
    held = dtypes.int64 if target.bits == 64 else dtypes.int32
    lowest, highest = (at.const(float(limit), source) for limit in (least, precise))
    # A NaN is not above the lowest; it is 0 from here on, for afterwards masks would have to fit shorter elements.
    low = at.select(at.test("ogt", x, lowest), x, lowest)
    low = at.select(at.test("ord", x, x), low, at.const(0.0, source))
    inside = at.select(at.test("olt", low, highest), low, highest)
    type = register_type(held, at.lanes)
    result = at.op(f"fptosi {at.type} {inside} to {type}")
    if precise != most:
        result = at.select(at.test("ogt", x, highest), at.const(most, held), result, type)
    return result if target.bits == held.bits else at.op(f"trunc {type} {result} to {register_type(target, at.lanes)}")


def _limits(dtype: DType) -> tuple[int, int]:
    bits = dtype.bits - 1 if dtype.is_signed else dtype.bits
    return (-(1 << bits) if dtype.is_signed else 0), (1 << bits) - 1


def _saturated(at: At, x: str, target: DType) -> str:
    name = f"llvm.fptoui.sat.{suffix(register_type(target), at.lanes)}.{suffix(register_type(at.dtype), at.lanes)}"
    to_type = register_type(target, at.lanes)
    callee = at.function.module.declare(name, to_type, at.type)
    return at.op(f"call {to_type} {callee}({at.type} {x})")


class Division(NamedTuple):
    """A quotient, and what it leaves."""

    quotient: str
    remainder: str


def divided(at: At, x: str, y: str, is_floor: bool) -> Division:
    """``x`` over ``y``, rounded down or else towards zero; ``y`` is not 0, nor -1 for the least ``x``.

    By a literal, LLVM multiplies.
    """
    if y.startswith("%") and at.dtype.bits < 64:
        found = _by_quotient(at, x, y)
    elif y.startswith("%") and at.dtype.is_signed:
        return _by_reciprocal(at, x, y, is_floor)
    else:
        quotient = at.binary("sdiv" if at.dtype.is_signed else "udiv", x, y)
        found = Division(quotient, _rest(at, x, quotient, y))
    return _moved(at, found, y, y) if is_floor and at.dtype.is_signed else found


def _by_quotient(at: At, x: str, y: str) -> Division:
    """Of integers that a float holds: their quotient is further from the next whole number than its last place."""
    held = dtypes.float32 if at.dtype.bits <= 16 else dtypes.float64
    type, sign = register_type(held, at.lanes), "s" if at.dtype.is_signed else "u"
    dividend, divisor = (at.op(f"{sign}itofp {at.type} {v} to {type}") for v in (x, y))
    quotient = at.op(f"fdiv {type} {dividend}, {divisor}")
    whole = at.op(f"fpto{sign}i {type} {quotient} to {at.type}")
    return Division(whole, _rest(at, x, whole, y))


def _by_reciprocal(at: At, x: str, y: str, is_floor: bool) -> Division:
    """Of 64 bits, in two steps of 51: what the first quotient misses is below 2**13, and the second finds it.

    It is rounded to the nearest there, so that what it leaves is smaller than ``y``, of either sign.
    """
    double = At(at.function, dtypes.float64, at.lanes)

    def convert(v: str) -> str:
        return at.op(f"sitofp {at.type} {v} to {double.type}")

    def bits(v: str) -> str:
        return at.op(f"bitcast {double.type} {v} to {at.type}")

    reciprocal = double.binary("fdiv", double.const(1.0), convert(y))
    first = double.binary("fmul", convert(x), reciprocal)
    # The largest integers are 2**63 as doubles.
    most = double.const(float(2**63 - 1024))
    first = double.select(double.test("olt", first, most), first, most)
    quotient = at.op(f"fptosi {double.type} {first} to {at.type}")
    rest = _rest(at, x, quotient, y)
    second = double.binary("fadd", double.binary("fmul", convert(rest), reciprocal), double.const(_WHOLE))
    missing = at.binary("sub", bits(second), at.const(_WHOLE_BITS))
    quotient, rest = at.binary("add", quotient, missing), _rest(at, rest, missing, y)
    return _moved(at, Division(quotient, rest), y, y if is_floor else x)


def _rest(at: At, x: str, quotient: str, y: str) -> str:
    return at.binary("sub", x, at.binary("mul", quotient, y))


def _moved(at: At, division: Division, y: str, sign: str) -> Division:
    """``division`` by ``y``, with a remainder of the sign that ``sign`` has, or 0."""
    quotient, rest = division
    zero = at.const(0)
    differs = at.test("slt", at.binary("xor", rest, sign), zero)
    is_wrong = at.op(f"and {at.test_type} {differs}, {at.test('ne', rest, zero)}")
    if y == sign:
        step, change = at.const(-1), y
    else:
        is_opposite = at.test("slt", at.binary("xor", y, sign), zero)
        step = at.select(is_opposite, at.const(1), at.const(-1))
        change = at.select(is_opposite, at.binary("sub", zero, y), y)
    quotient = at.select(is_wrong, at.binary("add", quotient, step), quotient)
    return Division(quotient, at.select(is_wrong, at.binary("add", rest, change), rest))
