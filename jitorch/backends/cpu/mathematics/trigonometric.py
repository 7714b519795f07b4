"""``sin``, ``cos`` and ``tan`` of arguments that are not `beyond`; of those `library` asks the C library.

``x = n * pi + r`` with ``|r| <= pi / 2`` for the first two, ``x = n * pi / 2 + r`` with ``|r| <= pi / 4`` for the
third.  pi is a sum of numbers so short that their products with ``n`` are exact, with or without an instruction that
fuses (Cody and Waite, 1980).  ``sin(r) = r + r*r*r * q(r*r)`` and the same for ``tan``, with ``q`` of `tables`.
"""

from __future__ import annotations

from jitorch.backends.cpu.mathematics import tables
from jitorch.backends.cpu.mathematics.term import Term, choose, fused, polynomial, rounder

ONE_OVER_PI = 0.3183098861837907


def beyond(x: Term) -> Term:
    """Where ``n`` would need more bits than pi's parts leave."""
    return x.magnitude > (3200.0 if x.is_single else 8e5)


def _without(x: Term, n: Term, unit: float) -> tuple[Term, Term]:
    """``x - n * (unit * pi)`` as a sum of two numbers; ``unit`` is a power of 2."""
    *exact, middle, last = (-unit * part for part in (tables.PI_32 if x.is_single else tables.PI_64))
    for part in exact:
        x = fused(n, part, x)
    r = fused(n, middle, x)
    lost = fused(n, middle, x - r)
    return r, fused(n, last, lost)


def _sine(r: Term, low: Term, flip: Term) -> Term:
    """``sin(r + low)``, negated where the lowest bit of ``flip`` is set."""
    z = r * r
    low = fused(low * z, -0.405, low)  # times cos(r), nearly
    value = r + fused(polynomial(z, tables.SINE_32 if r.is_single else tables.SINE_64), z * r, low)
    return (value.bits ^ (flip << (31 if r.is_single else 63))).number


def sin(x: Term) -> Term:
    """The sine."""
    magic = rounder(x)
    sum_ = fused(x, ONE_OVER_PI, magic)
    result = _sine(*_without(x, sum_ - magic, 1.0), sum_.bits)
    return choose(x.equals(0.0), x, result)  # for the sign of -0


def cos(x: Term) -> Term:
    """The cosine: ``x`` is brought near an odd multiple of pi / 2."""
    magic = rounder(x)
    sum_ = fused(x, ONE_OVER_PI, -0.5) + (magic + 1.0)
    return _sine(*_without(x, (sum_ - (magic + 1.0)) + 0.5, 1.0), sum_.bits)


def tan(x: Term) -> Term:
    """The tangent; ``-1 / tan(r)`` for odd ``n``."""
    magic = rounder(x)
    sum_ = fused(x, 2.0 * ONE_OVER_PI, magic)
    r, low = _without(x, sum_ - magic, 0.5)
    z = r * r
    low = fused(low * z, 1.4, low)  # times 1 + tan(r)**2, nearly
    more = fused(polynomial(z, tables.TANGENT_32 if x.is_single else tables.TANGENT_64), z * r, low)
    tangent = r + more
    odd = (sum_.bits & 1) > 0
    quotient = choose(odd, -1.0, tangent) / choose(odd, tangent, 1.0)
    # What the sum lost is twice as much to the reciprocal.
    lost = (r - tangent) + more
    result = choose(odd, fused(quotient * quotient, lost, quotient), quotient)
    return choose(x.equals(0.0), x, result)  # for the sign of -0
