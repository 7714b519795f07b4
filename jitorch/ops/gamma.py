"""The gamma function's family: `lgamma`, `digamma`, `polygamma`, `zeta`, `multigammaln`.

Arguments are shifted up until the asymptotic series holds (Abramowitz and Stegun, 6.1.40, 6.3.18,
23.2); negative ones are reflected.  All is computed in double precision and rounded once.
"""

from __future__ import annotations

import math
from typing import Any

from jitorch import dtypes
from jitorch.errors import ValueRangeError
from jitorch.ops.elementary import as_floats
from jitorch.ops.helpers import float_dtype, narrow_to
from jitorch.ops.math import abs, floor, log, pow, sin, tan, where
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import cast

Tensor = Any

_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330, 854513 / 138,
)  # fmt: skip
"""B2, B4, B6, ..."""


def _double(x: Tensor) -> Tensor:
    return cast(x, dtype=dtypes.float64) if x.dtype is not dtypes.float64 else x


def _whole_and_negative(x: Tensor) -> Tensor:
    """The poles: 0, -1, -2, ..."""
    return (x <= 0.0) & (floor(x) == x)


def _sin_pi(x: Tensor) -> Tensor:
    """``sin(pi * x)`` of the fractional part, with the parity left out."""
    return sin((x - floor(x)) * math.pi)


_SHIFT = 8


def _lgamma_positive(x: Tensor) -> Tensor:
    """Stirling's series at ``x + 8``, less the logarithm of the product stepped over, for x below 8."""
    small = x < float(_SHIFT)
    product: Any = where(small, x, 1.0)
    for i in range(1, _SHIFT):
        product = where(small, product * (x + float(i)), product)
    y = where(small, x + float(_SHIFT), x)
    inverse = 1.0 / y
    square = inverse * inverse
    series: Any = 0.0
    for k in range(8, 0, -1):
        series = series * square + _BERNOULLI[k - 1] / (2 * k * (2 * k - 1))
    return (y - 0.5) * log(y) - y + 0.5 * math.log(2 * math.pi) + series * inverse - log(product)


@op(inplace=True)
def lgamma(input: Tensor) -> Tensor:
    """The logarithm of the absolute value of the gamma function; infinite at 0, -1, -2, ..."""
    x = _double(input)
    reflected = x < 0.5
    y = where(reflected, 1.0 - x, x)
    finite = y < math.inf
    value = where(finite, _lgamma_positive(where(finite, y, 1.0)), math.inf)
    pole = _whole_and_negative(x)
    mirrored = math.log(math.pi) - log(where(pole, 1.0, abs(_sin_pi(x)))) - value
    out = where(pole, math.inf, where(reflected, mirrored, value))
    return narrow_to(where(x == -math.inf, math.inf, where(x != x, x, out)), float_dtype(input))


@lgamma.vjp
def _(g, out, input):
    return (g * digamma(input),)


@lgamma.samples
def _(rng):
    yield Sample(rng.uniform(0.3, 12, size=(3, 4)))
    yield Sample(rng.uniform(-0.9, -0.1, size=(4,)))


@op(inplace=True)
def digamma(input: Tensor) -> Tensor:
    """The derivative of `lgamma`; minus infinity at 0, NaN at -1, -2, ..."""
    x = _double(input)
    reflected = x < 0.0
    y = where(reflected, 1.0 - x, x)
    small = y < float(_SHIFT)
    stepped: Any = 0.0
    for i in range(_SHIFT):
        stepped = where(small, stepped + 1.0 / (y + float(i)), stepped)
    z = where(small, y + float(_SHIFT), y)
    square = 1.0 / (z * z)
    series: Any = 0.0
    for k in range(8, 0, -1):
        series = (series + _BERNOULLI[k - 1] / (2 * k)) * square
    value = log(z) - 0.5 / z - series - stepped
    fraction = x - floor(x)
    mirrored = value - math.pi / tan(where(reflected, fraction, 0.5) * math.pi)
    out = where(reflected, mirrored, value)
    pole = _whole_and_negative(x)
    return narrow_to(where(pole, where(x == 0.0, -math.inf, math.nan), out), float_dtype(input))


@digamma.vjp
def _(g, out, input):
    return (g * polygamma_op(input, n=1),)


@digamma.samples
def _(rng):
    yield Sample(rng.uniform(0.3, 12, size=(3, 4)))
    yield Sample(rng.uniform(-0.9, -0.1, size=(4,)))


def _zeta(s: Any, q: Tensor) -> Tensor:
    """Hurwitz' ``sum of (q + k) ** -s``: ten terms, then Euler and Maclaurin's formula."""
    total: Any = 0.0
    for k in range(10):
        total = total + pow(q + float(k), -s)
    w = q + 10.0
    tail = pow(w, 1.0 - s) / (s - 1.0) + 0.5 * pow(w, -s)
    factor, power = s, pow(w, -s - 1.0)
    for j, b in enumerate(_BERNOULLI, 1):
        tail = tail + factor * power * (b / math.factorial(2 * j))
        factor = factor * (s + (2.0 * j - 1.0)) * (s + 2.0 * j)
        power = power / (w * w)
    return total + tail


@op(name="polygamma", places=())
def polygamma_op(input: Tensor, *, n: int) -> Tensor:
    """The n-th derivative of `digamma`: ``(-1)**(n + 1) * n! * zeta(n + 1, x)``."""
    if n == 0:
        return digamma(input)
    x = _double(input)
    # Below 0, recurrence steps lead to where the series holds.
    stepped: Any = 0.0
    y = x
    for _ in range(_STEPS_BELOW):
        below = y < 0.0
        stepped = where(below, stepped + pow(where(below, y, 1.0), -float(n + 1)), stepped)
        y = where(below, y + 1.0, y)
    value = (_zeta(float(n + 1), y) + stepped) * ((-1.0) ** (n + 1) * math.factorial(n))
    return narrow_to(value, float_dtype(input))


_STEPS_BELOW = 12
"""Arguments of `polygamma` down to minus this number are exact; beyond they are NaN or inaccurate."""


@polygamma_op.vjp
def _(g, out, input, *, n):
    return (g * polygamma_op(input, n=n + 1),)


@polygamma_op.samples
def _(rng):
    yield Sample(rng.uniform(0.3, 12, size=(3, 4)), n=1)
    yield Sample(rng.uniform(0.3, 5, size=(4,)), n=3)


@function(places=("torch", "special"))
def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of `digamma`."""
    if n < 0:
        raise ValueRangeError("polygamma: n must not be negative", expected="n >= 0", actual=n)
    return polygamma_op(input, n=int(n))


@polygamma.samples
def _(rng):
    yield Sample(0, rng.uniform(0.3, 5, size=(4,)))
    yield Sample(2, rng.uniform(0.3, 5, size=(4,)))


@function(name="polygamma", places=("method",), inplace=True)
def polygamma_method(input: Tensor, n: int) -> Tensor:
    """The n-th derivative of `digamma`."""
    return polygamma(n, input)


@polygamma_method.samples
def _(rng):
    yield Sample(rng.uniform(0.3, 5, size=(4,)), 1)


@op(name="zeta", places=())
def zeta_op(x: Tensor, q: Tensor) -> Tensor:
    """Hurwitz' zeta function, the sum of ``(q + k) ** -x`` over k from 0: NaN for x below 1, infinite at 1."""
    s, z = _double(x), _double(q)
    regular = (s > 1.0) & (z > 0.0)
    value = _zeta(where(regular, s, 2.0), where(regular, z, 1.0))
    outside = where((s == 1.0) | ((s > 1.0) & _whole_and_negative(z)), math.inf, math.nan)
    return narrow_to(where(regular, value, outside), x.dtype)


@zeta_op.vjp
def _(g, out, x, q):
    return None, g * -x * zeta_op(x + 1.0, q)


@zeta_op.samples
def _(rng):
    yield Sample(rng.uniform(1.5, 4, size=(5,)), rng.uniform(0.5, 4, size=(5,)), grad=False)


@function(places=("special",))
def zeta(input: Any, other: Any) -> Tensor:
    """Hurwitz' zeta function: the sum of ``(other + k) ** -input`` over k from 0."""
    return zeta_op(*as_floats(input, other))


@zeta.samples
def _(rng):
    yield Sample(rng.uniform(1.5, 4, size=(5,)), rng.uniform(0.5, 4, size=(5,)), grad=False)
    yield Sample(rng.uniform(1.5, 4, size=(5,)), 2.0, grad=False)


@function(places=("special",))
def gammaln(input: Tensor) -> Tensor:
    """`lgamma`."""
    return lgamma(input)


@function(places=("special",), aliases=("digamma",))
def psi(input: Tensor) -> Tensor:
    """`digamma`."""
    return digamma(input)


for _entry in (gammaln, psi):

    @_entry.samples
    def _(rng):
        yield Sample(rng.uniform(0.3, 12, size=(3, 4)))


@function(places=("special",))
def multigammaln(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension ``p``."""
    if p < 1:
        raise ValueRangeError("multigammaln: p must be positive", expected="p >= 1", actual=p)
    total: Any = 0.25 * p * (p - 1) * math.log(math.pi)
    for j in range(p):
        total = total + lgamma(input - 0.5 * j)
    return total


@multigammaln.samples
def _(rng):
    yield Sample(rng.uniform(2, 5, size=(4,)), 3)


@function(places=("torch", "method"), inplace=True)
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The older name of `special.multigammaln`."""
    return multigammaln(input, p)


@mvlgamma.samples
def _(rng):
    yield Sample(rng.uniform(2, 5, size=(4,)), 2)
