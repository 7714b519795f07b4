"""Modified Bessel functions of the first kind, orders 0 and 1.

Up to 20 their power series (Abramowitz and Stegun, 9.6.10), all of whose terms are positive; beyond
it the asymptotic one (9.7.1), whose terms are below the rounding error before they grow again.
Evaluated in double precision, rounded once.
"""

from __future__ import annotations

import math
from typing import Any

from jitorch import dtypes
from jitorch.ops.helpers import float_dtype, narrow_to
from jitorch.ops.math import abs, exp, sign, sqrt, where
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import cast

Tensor = Any

_LIMIT = 20.0
_SERIES = {n: [1.0 / (math.factorial(k) * math.factorial(k + n)) for k in range(45)] for n in (0, 1)}


def _asymptotic(order: int) -> list[float]:
    """The coefficients of ``(8 * x) ** -k``."""
    terms, mu = [1.0], 4.0 * order * order
    for k in range(1, 31):
        terms.append(terms[-1] * -(mu - (2 * k - 1) ** 2) / k)
    return terms


_FAR = {n: _asymptotic(n) for n in (0, 1)}


def _horner(coefficients: list[float], x: Tensor) -> Tensor:
    """The polynomial with the lowest coefficient first."""
    total: Any = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def _double(x: Tensor) -> Tensor:
    return cast(x, dtype=dtypes.float64)


def _scaled(x: Tensor, order: int) -> Tensor:
    """``exp(-|x|)`` times the Bessel function of ``|x|``."""
    size = abs(x)
    large = size > _LIMIT
    small, far = where(large, 1.0, size), where(large, size, _LIMIT)
    series = _horner(_SERIES[order], small * small * 0.25) * exp(-small)
    if order:
        series = series * small * 0.5
    tail = _horner(_FAR[order], 1.0 / (8.0 * far)) / sqrt(2.0 * math.pi * far)
    return where(large, where(size == math.inf, 0.0, tail), series)


@op(places=("special",))
def i0e(input: Tensor) -> Tensor:
    """``exp(-|x|) * i0(x)``."""
    x = _double(input)
    return narrow_to(where(x != x, x, _scaled(x, 0)), float_dtype(input))


@i0e.vjp
def _(g, out, input):
    return (g * (i1e(input) - sign(input) * out),)


@op(places=("special",))
def i1e(input: Tensor) -> Tensor:
    """``exp(-|x|) * i1(x)``."""
    x = _double(input)
    return narrow_to(where(x != x, x, _scaled(x, 1) * sign(x)), float_dtype(input))


@i1e.vjp
def _(g, out, input):
    zero = input == 0
    ratio = where(zero, 0.5, out / where(zero, 1.0, input))
    return (g * (i0e(input) - ratio - sign(input) * out),)


@op(places=("torch", "method", "special"), inplace=True)
def i0(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind of order 0."""
    x = _double(input)
    return narrow_to(i0e(x) * exp(abs(x)), float_dtype(input))


@i0.vjp
def _(g, out, input):
    return (g * i1(input),)


@op(places=("special",))
def i1(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind of order 1."""
    x = _double(input)
    return narrow_to(i1e(x) * exp(abs(x)), float_dtype(input))


@i1.vjp
def _(g, out, input):
    zero = input == 0
    return (g * (i0(input) - where(zero, 0.5, out / where(zero, 1.0, input))),)


for _entry in (i0, i1, i0e, i1e):

    @_entry.samples
    def _(rng):
        yield Sample(rng.normal(size=(3, 4)) * 8)
        yield Sample(rng.uniform(15, 30, size=(4,)))


@function(places=("special",))
def modified_bessel_i0(input: Tensor) -> Tensor:
    """`i0`."""
    return i0(input)


@function(places=("special",))
def modified_bessel_i1(input: Tensor) -> Tensor:
    """`i1`."""
    return i1(input)


for _entry in (modified_bessel_i0, modified_bessel_i1):

    @_entry.samples
    def _(rng):
        yield Sample(rng.normal(size=(3, 4)) * 8, grad=False)
