"""``fmod`` by way of the quotient, that of singles in double precision.

Of singles whose quotient is below 2**28 the quotient in double precision is never rounded up to a whole number: it is
further from one than its last place.  So its whole part is right, and the product with the divisor is exact.

Of doubles whose quotient is below 2**52 it may be rounded up to the next whole number, which makes the rest negative.
The rest itself is a double, whichever of the two it is, and a fused multiply-add gives it.
"""

from __future__ import annotations

from jitorch.backends.cpu.mathematics.term import INFINITY, Term, choose, exactly

_MOST, _MOST_DOUBLE = 2.0**28, 2.0**52


def fmod(x: Term, y: Term) -> Term:
    """``x - y * trunc(x / y)``, exact, with the sign of ``x``; not for operands `beyond`."""
    return fmod32(x, y) if x.is_single else fmod64(x, y)


def fmod32(x: Term, y: Term) -> Term:
    dividend, divisor = x.double, y.double
    quotient = (dividend / divisor).truncated
    return (dividend - quotient * divisor).single.with_sign_of(x)


def fmod64(x: Term, y: Term) -> Term:
    dividend, divisor = x.magnitude, y.magnitude
    rest = exactly(-(dividend / divisor).truncated, divisor, dividend)
    return choose(rest < 0.0, rest + divisor, rest).with_sign_of(x)


def beyond(x: Term, y: Term) -> Term:
    """Where the quotient may be too large; where it, or an operand, is none; where the divisor is infinite."""
    dividend, divisor = (x.double, y.double) if x.is_single else (x, y)
    largest = divisor.magnitude * (_MOST if x.is_single else _MOST_DOUBLE)
    return ((dividend.magnitude < largest) & (largest < INFINITY)) ^ True
