"""``pow`` in single precision: ``2**(y * log2|x|)`` in double precision, and the cases of IEEE 754.

``log2(1 + f) = f * p(f)`` on [-1/3, 1/3] and ``2**r = 1 + r * q(r)`` on [-1/2, 1/2], with ``p`` and ``q`` of `tables`.
The product is at most 160, so a relative error of 2**-34 in the logarithm is a quarter of a unit in the
last place of the result.
"""

from __future__ import annotations

from jitorch.backends.cpu.mathematics import logarithm, tables
from jitorch.backends.cpu.mathematics.term import INFINITY, NAN, Term, choose, fused, polynomial, rounder

_HUGE = 2.0**60


def pow32(x: Term, y: Term) -> Term:
    """``x`` to the power ``y``, both single."""
    size = x.magnitude
    wide = size.double
    exponent, m = logarithm.split(wide)
    f = m - 1.0
    log2 = fused(f, polynomial(f, tables.POWER_LOGARITHM), logarithm.whole(exponent, wide))
    power = y.at_most(_HUGE).at_least(-_HUGE).double
    # Of 0 and infinity the split gives large finite logarithms: make them larger than any y can undo.
    power = choose(size.equals(0.0) | size.equals(INFINITY), power * 2.0**200, power)
    result = _exp2(power * log2).single

    is_whole = y.truncated.equals(y)
    half = y * 0.5
    is_odd = is_whole & half.truncated.differs(half)
    result = choose(is_odd, result.with_sign_of(x), result)
    is_undefined = (x < 0.0) & (x > -INFINITY) & y.truncated.differs(y)
    result = choose(is_undefined | x.is_nan, NAN, result)
    return choose(x.equals(1.0) | y.equals(0.0), 1.0, result)


def _exp2(t: Term) -> Term:
    """2 to a power, as a double that a single may not hold."""
    t = t.at_least(-160.0).at_most(130.0)
    magic = rounder(t) + 1023.0
    sum_ = t + magic
    r = t - (sum_ - magic)
    return fused(r, polynomial(r, tables.POWER_OF_TWO), 1.0) * (sum_.bits << 52).number
