"""``log``, ``log2``, ``log10`` and ``log1p``.

``x = 2**e * (1 + f)`` with ``1 + f`` in [2/3, 4/3), so that nothing cancels where ``e`` is not 0.  ``log(1 + f)``
is ``f + h``: in single precision ``h = f*f * (-1/2 + f * q(f))``; in double precision, where that would
take twice as many terms, ``h = -s * (f - z * q(z))`` with ``s = f / (2 + f)`` and ``z = s*s``, from
``log(1 + f) = 2 * artanh(s)``.  ``q`` stands in `tables`.
"""

from __future__ import annotations

from jitorch.backends.cpu.mathematics import tables
from jitorch.backends.cpu.mathematics.term import (
    INFINITY,
    NAN,
    Term,
    bias,
    choose,
    fused,
    least_normal,
    mantissa_bits,
    polynomial,
    rounder,
)

TWO_THIRDS_32 = 0x3F2AAAAB
TWO_THIRDS_64 = 0x3FE5555555555555


def split(x: Term) -> tuple[Term, Term]:
    """The representation of ``2**e`` less that of 1, and ``1 + f``, of a normal ``x`` above 0."""
    raw = x.bits
    lead = TWO_THIRDS_32 if x.is_single else TWO_THIRDS_64
    exponent = (raw - lead) & -(1 << mantissa_bits(x))
    return exponent, (raw - exponent).number


def whole(exponent: Term, x: Term) -> Term:
    """``e`` as a float: put under the mantissa of `rounder`."""
    magic = rounder(x)
    return ((exponent >> mantissa_bits(x)) + x.same(magic).bits).number - magic


def excess(f: Term) -> Term:
    """``log(1 + f) - f``, with an error small against ``f``."""
    if f.is_single:
        return f * f * fused(f, polynomial(f, tables.LOGARITHM_32), -0.5)
    s = f / (2.0 + f)
    z = s * s
    return -s * (f - z * polynomial(z, tables.LOGARITHM_64))


def outside(x: Term, result: Term) -> Term:
    """``result`` with the logarithms of 0, infinity, NaN and negative numbers put in."""
    result = choose(x < INFINITY, result, x)  # infinity and NaN are their own logarithms
    result = choose(x < 0.0, NAN, result)
    return choose(x.equals(0.0), -INFINITY, result)


def _scaled(x: Term) -> tuple[Term, Term, Term]:
    """``(e as a float, f, x)``, from any ``x`` above 0."""
    up = 2.0 ** (mantissa_bits(x) + 1)
    small = x < least_normal(x)
    exponent, m = split(choose(small, x * up, x))
    e = whole(exponent, x)
    return choose(small, e - (mantissa_bits(x) + 1.0), e), m - 1.0, x


def log(x: Term) -> Term:
    """The natural logarithm."""
    e, f, _ = _scaled(x)
    high, low = tables.LOG_OF_2_32 if x.is_single else tables.LOG_OF_2_64
    return outside(x, fused(e, high, f + fused(e, low, excess(f))))


def log2(x: Term) -> Term:
    """The logarithm to base 2; exact for powers of 2."""
    e, f, _ = _scaled(x)
    high, low = tables.LOG2_OF_E_32 if x.is_single else tables.LOG2_OF_E_64
    h = excess(f)
    return outside(x, e + fused(f, high, fused(f, low, h * (high + low))))


def log10(x: Term) -> Term:
    """The logarithm to base 10."""
    e, f, _ = _scaled(x)
    high, low = tables.LOG10_OF_E_32 if x.is_single else tables.LOG10_OF_E_64
    two_high, two_low = tables.LOG10_OF_2_32 if x.is_single else tables.LOG10_OF_2_64
    rest = fused(e, two_low, fused(f, low, excess(f) * (high + low)))
    return outside(x, fused(e, two_high, fused(f, high, rest)))


def log1p(x: Term) -> Term:
    """``log(1 + x)``; what rounding ``1 + x`` lost is added to ``f``."""
    u = 1.0 + x
    limit = 2.0 ** (mantissa_bits(x) + 2)
    lost = choose(x < limit, x - (u - 1.0), 0.0)
    exponent, m = split(u)
    one = bias(x) << mantissa_bits(x)
    inverse = (one - choose(x < limit, exponent, 0)).number
    f = fused(lost, inverse, m - 1.0)
    high, low = tables.LOG_OF_2_32 if x.is_single else tables.LOG_OF_2_64
    e = whole(exponent, x)
    result = outside(u, fused(e, high, f + fused(e, low, excess(f))))
    return choose(x.magnitude < (2.0**-25 if x.is_single else 2.0**-54), x, result)
