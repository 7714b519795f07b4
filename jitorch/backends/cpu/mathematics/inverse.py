"""``asin``, ``acos``, ``atan`` and ``atan2``.

``asin(x) = x + x*x*x * q(x*x)`` up to 1/2; beyond it ``asin(x) = pi/2 - 2 * asin(sqrt((1 - x) / 2))``, where
``1 - x`` is exact.  ``atan(x) = x + x*x*x * q(x*x)`` up to 1; beyond it ``atan(x) = pi/2 - atan(1 / x)``.
pi / 2 is a sum of two numbers; ``q`` stands in `tables`.
"""

from __future__ import annotations

from jitorch.backends.cpu.mathematics import tables
from jitorch.backends.cpu.mathematics.term import INFINITY, NAN, Term, choose, fused, polynomial


def _half_pi(x: Term) -> tuple[float, float]:
    high, low = tables.HALF_PI_32 if x.is_single else tables.HALF_PI_64
    return high, low


def _arcsine_parts(x: Term) -> tuple[Term, Term, Term]:
    """Whether ``|x|`` is above 1/2; ``t``, ``|x|`` or else ``sqrt((1 - |x|) / 2)``; and ``asin(t) - t``."""
    size = x.magnitude
    large = size > 0.5
    z = choose(large, fused(size, -0.5, 0.5), size * size)
    t = choose(large, z.root, size)
    return large, t, z * t * polynomial(z, tables.ARCSINE_32 if x.is_single else tables.ARCSINE_64)


def asin(x: Term) -> Term:
    """The inverse sine; NaN outside of [-1, 1]."""
    large, t, rest = _arcsine_parts(x)
    high, low = _half_pi(x)
    far = high - (2.0 * t + (2.0 * rest - low))
    return choose(large, far, t + rest).with_sign_of(x)


def acos(x: Term) -> Term:
    """The inverse cosine; NaN outside of [-1, 1]."""
    large, t, rest = _arcsine_parts(x)
    high, low = _half_pi(x)
    angle = t + rest
    negative = x < 0.0
    near = high - (choose(negative, -t, t) + (choose(negative, -rest, rest) - low))
    far = choose(negative, 2.0 * high - (2.0 * t + (2.0 * rest - 2.0 * low)), 2.0 * angle)
    return choose(large, far, near)


def _arctangent(q: Term) -> Term:
    """Of 0 to 1."""
    z = q * q
    return fused(polynomial(z, tables.ARCTANGENT_32 if q.is_single else tables.ARCTANGENT_64), z * q, q)


def atan(x: Term) -> Term:
    """The inverse tangent."""
    size = x.magnitude
    large = size > 1.0
    angle = _arctangent(choose(large, 1.0, size) / choose(large, size, 1.0))
    high, low = _half_pi(x)
    return choose(large, high - (angle - low), angle).with_sign_of(x)


def atan2(y: Term, x: Term) -> Term:
    """The angle of the point ``(x, y)``, with the zeros and infinities of IEEE 754."""
    across, up = x.magnitude, y.magnitude
    steep = up > across
    longer, shorter = choose(steep, up, across), choose(steep, across, up)
    ratio = shorter / longer
    ratio = choose(longer.equals(0.0), 0.0, choose(shorter.equals(INFINITY), 1.0, ratio))
    angle = _arctangent(ratio)
    high, low = _half_pi(x)
    angle = choose(steep, high - (angle - low), angle)
    # The sign bit, because -0 is to the left as well.
    angle = choose(x.bits < 0, 2.0 * high - (angle - 2.0 * low), angle)
    return choose(x.is_unordered_with(y), NAN, angle.with_sign_of(y))
