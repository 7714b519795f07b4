"""``sinh``, ``cosh`` and ``tanh``.

With ``|x| = n * log(2) + r``, ``a = 2**n / 2`` and ``b = 2**-n / 2``: ``sinh|x| = c * (a - b) + s * (a + b)`` and
``cosh x = c * (a + b) + s * (a - b)``, where ``c = cosh r`` and ``s = sinh r`` are the even and the odd part of
`exponential`'s polynomial.  For ``n = 0``, where ``sinh`` has to be exact against ``x``, that is ``s`` itself.
"""

from __future__ import annotations

from jitorch.backends.cpu.mathematics import exponential
from jitorch.backends.cpu.mathematics.term import Term, bias, choose, fused, mantissa_bits, polynomial


def _parts(x: Term) -> tuple[Term, Term, Term, Term]:
    """``c - 1``, ``s``, ``a / 2`` and ``b / 2``."""
    size = x.magnitude.at_most(89.5 if x.is_single else 710.6)
    parts = exponential.reduced(size, bias(x) - 2)
    r, bits = parts.r, mantissa_bits(x)
    z = r * r
    table = exponential.coefficients(x)
    c = z * polynomial(z, table[0::2])
    s = fused(polynomial(z, table[1::2]), z * r, r)
    a = parts.field << bits
    # Where 2**-n would not be a normal number, it does not matter.
    b = (2 * (bias(x) - 2) << bits) - a
    b = choose(b < 0, 0, b)
    return c, s, a.number, b.number


def sinh(x: Term) -> Term:
    """Hyperbolic sine."""
    c, s, a, b = _parts(x)
    less, more = a - b, a + b
    result = 2.0 * (less + fused(s, more, c * less))
    result = choose(x.magnitude < (2.0**-13 if x.is_single else 2.0**-28), x.magnitude, result)
    return result.with_sign_of(x)


def cosh(x: Term) -> Term:
    """Hyperbolic cosine."""
    c, s, a, b = _parts(x)
    more = a + b
    return 2.0 * (more + fused(s, a - b, c * more))


def tanh(x: Term) -> Term:
    """Hyperbolic tangent, ``m / (m + 2)`` with ``m = expm1(2 * |x|)``."""
    twice = (2.0 * x.magnitude).at_most(20.0 if x.is_single else 44.0)
    m = exponential.expm1_of_positive(twice)
    return (m / (m + 2.0)).with_sign_of(x)
