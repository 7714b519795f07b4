"""``sinh``, ``cosh`` and ``tanh``.

With ``|x| = n * log(2) + r``, ``a = 2**n / 2`` and ``b = 2**-n / 2``: ``sinh|x| = c * (a - b) + s * (a + b)`` and
``cosh x = c * (a + b) + s * (a - b)``, where ``c = cosh r`` and ``s = sinh r`` are the even and the odd part of
`exponential`'s polynomial.  For ``n = 0``, where ``sinh`` has to be exact against ``x``, that is ``s`` itself.
"""

from __future__ import annotations

from jitorch.backends.cpu.mathematics import exponential, tables
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
    """Hyperbolic cosine, as ``a + (a * (c + s - 1) + b * (c - s))``: nothing is lost where ``b`` is small."""
    c, s, a, b = _parts(x)
    return 2.0 * (a + fused(a, c + s, b * (1.0 + (c - s))))


def tanh(x: Term) -> Term:
    """Hyperbolic tangent: an odd polynomial up to 0.57, then ``m / (m + 2)`` with ``m = expm1(2 * |x|)``."""
    size = x.magnitude
    z = x * x
    table = tables.HYPERBOLIC_TANGENT_32 if x.is_single else tables.HYPERBOLIC_TANGENT_64
    near = fused(polynomial(z, table), z * size, size)
    m = exponential.expm1_of_positive((2.0 * size).at_most(20.0 if x.is_single else 44.0))
    return choose(size > 0.57, m / (m + 2.0), near).with_sign_of(x)
