"""``fmod`` in single precision, by way of the quotient in double precision.

Of singles whose quotient is below 2**28 the quotient in double precision is never rounded up to a whole number: it is
further from one than its last place.  So its whole part is right, and the product with the divisor is exact.
"""

from __future__ import annotations

from jitorch.backends.cpu.mathematics.term import INFINITY, Term

_MOST = 2.0**28


def fmod32(x: Term, y: Term) -> Term:
    """``x - y * trunc(x / y)``, exact, with the sign of ``x``; not for operands `beyond`."""
    dividend, divisor = x.double, y.double
    quotient = (dividend / divisor).truncated
    return (dividend - quotient * divisor).single.with_sign_of(x)


def beyond(x: Term, y: Term) -> Term:
    """Where the quotient may be too large; where it, or an operand, is none; where the divisor is infinite."""
    largest = y.double.magnitude * _MOST
    return ((x.double.magnitude < largest) & (largest < INFINITY)) ^ True
