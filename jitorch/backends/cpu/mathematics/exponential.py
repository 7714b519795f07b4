"""``exp`` and ``expm1``.

``x = n * log(2) + r`` with a whole ``n`` and ``|r| <= log(2) / 2``; log(2) is a sum of two numbers, of which
the product of the first with ``n`` is exact (Cody and Waite, "Software Manual for the Elementary Functions",
1980).  Then ``exp(x) = 2**n * (1 + r + r*r*q(r))`` with ``q`` of `tables`, which is minimax in the relative
error of ``expm1(r)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from jitorch.backends.cpu.mathematics import tables
from jitorch.backends.cpu.mathematics.term import Term, bias, choose, fused, mantissa_bits, polynomial, rounder

LOG2_E = 1.4426950408889634


@dataclass(frozen=True, slots=True)
class Reduced:
    """``x = n * log(2) + r``; ``field`` holds ``n`` plus ``shift`` in its low bits."""

    r: Term
    field: Term


def reduced(x: Term, shift: int) -> Reduced:
    """``shift`` is added to ``n``, which spares the instruction that would add an exponent's bias."""
    magic = rounder(x) + shift
    sum_ = fused(x, LOG2_E, magic)
    n = sum_ - magic
    high, low = tables.LOG_OF_2_32 if x.is_single else tables.LOG_OF_2_64
    return Reduced(fused(n, -low, fused(n, -high, x)), sum_.bits)


def coefficients(x: Term) -> tuple[float, ...]:
    return tables.EXPONENTIAL_32 if x.is_single else tables.EXPONENTIAL_64


def growth(r: Term) -> Term:
    """``exp(r) - 1`` for ``|r| <= log(2) / 2``."""
    return fused(polynomial(r, coefficients(r)), r * r, r)


def exp(x: Term) -> Term:
    """The exponential function, by two scalings, of which the second alone may round or overflow."""
    x = x.at_least(-104.0 if x.is_single else -746.0).at_most(89.0 if x.is_single else 710.0)
    parts = reduced(x, 2 * bias(x))
    bits = mantissa_bits(x)
    first = (parts.field >> 1) << bits
    second = (parts.field << bits) - first
    return (growth(parts.r) + 1.0) * first.number * second.number


def exp_of_negative(x: Term) -> Term:
    """``exp(x)`` where the result is normal and not above 2: one scaling."""
    parts = reduced(x, bias(x))
    return (growth(parts.r) + 1.0) * (parts.field << mantissa_bits(x)).number


def expm1_of_positive(x: Term) -> Term:
    """``exp(x) - 1`` of 0 to 60, exact in sign and for the smallest."""
    parts = reduced(x, bias(x))
    scale = (parts.field << mantissa_bits(x)).number
    return fused(scale, growth(parts.r), scale - 1.0)


def expm1(x: Term) -> Term:
    """``exp(x) - 1``: half of ``2**n * expm1(r) + (2**n - 1)``, which does not overflow early, and twice that."""
    near = x.magnitude < (2.0**-25 if x.is_single else 2.0**-54)
    inside = x.at_least(-20.0 if x.is_single else -40.0).at_most(89.0 if x.is_single else 710.0)
    parts = reduced(inside, bias(x) - 1)
    half = (parts.field << mantissa_bits(x)).number
    result = 2.0 * fused(half, growth(parts.r), half - 0.5)
    return choose(near, x, result)
