"""Special functions as rational and asymptotic approximations, each with its source.

They are evaluated in double precision for every dtype and rounded once at the end: they are rarely
the bottleneck, and their approximations cancel.
"""

from __future__ import annotations

import math
from typing import Any

from jitorch import dtypes
from jitorch.ir.erf import MIDDLE, NEAR, SMALL, TAIL, horner
from jitorch.ops.helpers import float_dtype, narrow_to
from jitorch.ops.math import abs, exp, floor, log, log1p, sqrt, where
from jitorch.ops.registry import Sample, op
from jitorch.ops.structure import cast

Tensor = Any

PLACES = ("torch", "method", "special")


def _double(x: Tensor) -> Tensor:
    return cast(x, dtype=dtypes.float64) if x.dtype is not dtypes.float64 else x


# ---- error function -------------------------------------------------------------------------------------
def _erfcx_positive(y: Tensor) -> Tensor:
    """``exp(y * y) * erfc(y)`` for ``y >= 0.46875``."""
    middle = where(y > 4.0, 1.0, y)
    near = horner(MIDDLE[0], middle) / horner(MIDDLE[1], middle)
    far = where(y > 4.0, y, 4.0)
    z = 1.0 / (far * far)
    tail = (1.0 / math.sqrt(math.pi) - z * horner(TAIL[0], z) / horner(TAIL[1], z)) / far
    return where(y > 4.0, tail, near)


def _erf_small(x: Tensor) -> Tensor:
    """``erf(x)`` for ``|x| < 0.46875``."""
    z = x * x
    return x * horner(NEAR[0], z) / horner(NEAR[1], z)


def _exp_of_square(y: Tensor) -> Tensor:
    """``exp(-y * y)``, the square split so that its rounding does not grow."""
    head = floor(y * 16.0) * (1 / 16)
    return exp(-head * head) * exp(-(y - head) * (y + head))


@op(places=PLACES, inplace=True)
def erfc(input: Tensor) -> Tensor:
    """``1 - erf(input)``, accurate in the tail.  Cody, 1969."""
    x = _double(input)
    y = abs(x)
    small = y < SMALL
    limited = where(small, 1.0, where(y > 28.0, 28.0, y))
    tail = _erfcx_positive(limited) * _exp_of_square(limited)
    out = where(small, 1.0 - _erf_small(where(small, x, 0.0)), where(x < 0.0, 2.0 - tail, tail))
    return narrow_to(where(x != x, x, out), float_dtype(input))


@erfc.vjp
def _(g, out, input):
    x = _double(input)
    return (narrow_to(_double(g) * (-2 / math.sqrt(math.pi)) * exp(-x * x), input.dtype),)


@op(places=("special",))
def erfcx(input: Tensor) -> Tensor:
    """``exp(input**2) * erfc(input)``.  Cody, 1969."""
    x = _double(input)
    y = abs(x)
    small = y < SMALL
    positive = _erfcx_positive(where(small, 1.0, y))
    out = where(x < 0.0, 2.0 * exp(x * x) - positive, positive)
    near = exp(where(small, x * x, 0.0)) * (1.0 - _erf_small(where(small, x, 0.0)))
    return narrow_to(where(x != x, x, where(small, near, out)), float_dtype(input))


@erfcx.vjp
def _(g, out, input):
    return (g * (2.0 * input * out - 2 / math.sqrt(math.pi)),)


def _wide_normal(rng: Any) -> Any:
    yield Sample(rng.normal(size=(3, 4)) * 2)
    yield Sample(rng.normal(size=()))


erfc.samples(_wide_normal)
erfcx.samples(_wide_normal)


# M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Appl. Statist. 37 (1988).
_MIDDLE_P = (
    2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
    1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080,
)  # fmt: skip
_MIDDLE_Q = (
    5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
    5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0,
)  # fmt: skip
_NEAR_P = (
    7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258,
    3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734,
)  # fmt: skip
_NEAR_Q = (
    1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
    6.89767334985100004550e-1, 1.67638483018380384940, 2.05319162663775882187, 1.0,
)  # fmt: skip
_FAR_P = (
    2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
    2.96560571828504891230e-1, 1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720,
)  # fmt: skip
_FAR_Q = (
    2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
    1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0,
)  # fmt: skip


def _quantile(centred: Tensor, smaller: Tensor) -> Tensor:
    """The normal quantile of ``p`` from ``p - 1/2`` and ``min(p, 1 - p)``, each exact where it matters."""
    central = abs(centred) <= 0.425
    r = 0.180625 - where(central, centred * centred, 0.0)
    middle = centred * horner(_MIDDLE_P, r) / horner(_MIDDLE_Q, r)
    t = sqrt(-log(where(central, 0.25, smaller)))
    near, far = where(t > 5.0, 0.0, t - 1.6), where(t > 5.0, t - 5.0, 0.0)
    far = where(far > 1e3, 1e3, far)
    tail = where(t > 5.0, horner(_FAR_P, far) / horner(_FAR_Q, far), horner(_NEAR_P, near) / horner(_NEAR_Q, near))
    tail = where(smaller == 0.0, math.inf, tail)
    return where(central, middle, where(centred < 0.0, -tail, tail))


@op(places=PLACES, inplace=True)
def erfinv(input: Tensor) -> Tensor:
    """The inverse of `erf`; infinite at -1 and 1, NaN beyond.  Wichura, 1988."""
    x = _double(input)
    out = _quantile(0.5 * x, 0.5 * (1.0 - abs(x))) * math.sqrt(0.5)
    return narrow_to(where(abs(x) > 1.0, math.nan, out), float_dtype(input))


@erfinv.vjp
def _(g, out, input):
    y = _double(out)
    return (narrow_to(_double(g) * (0.5 * math.sqrt(math.pi)) * exp(y * y), input.dtype),)


@erfinv.samples
def _(rng):
    yield Sample(rng.uniform(-0.99, 0.99, size=(3, 4)))


@op(places=("special",))
def ndtri(input: Tensor) -> Tensor:
    """The inverse of `ndtr`: the normal quantile.  Wichura, 1988."""
    p = _double(input)
    smaller = where(p > 0.5, 1.0 - p, p)
    out = _quantile(p - 0.5, where(smaller < 0.0, 0.0, smaller))
    return narrow_to(where((p < 0.0) | (p > 1.0), math.nan, out), float_dtype(input))


@ndtri.vjp
def _(g, out, input):
    y = _double(out)
    return (narrow_to(_double(g) * math.sqrt(2 * math.pi) * exp(0.5 * y * y), input.dtype),)


@ndtri.samples
def _(rng):
    yield Sample(rng.uniform(0.01, 0.99, size=(3, 4)))


@op(places=("special",))
def ndtr(input: Tensor) -> Tensor:
    """The normal distribution function: ``erfc(-x / sqrt(2)) / 2``."""
    return narrow_to(0.5 * erfc(_double(input) * -math.sqrt(0.5)), float_dtype(input))


ndtr.samples(_wide_normal)


@op(places=("special",))
def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of `ndtr`, accurate in the tail."""
    x = _double(input)
    low = x < -1.0
    z = where(low, x, -1.0) * -math.sqrt(0.5)
    tail = log(0.5 * erfcx(z)) - z * z
    return narrow_to(where(low, tail, log1p(-0.5 * erfc(where(low, 0.0, x) * math.sqrt(0.5)))), float_dtype(input))


@log_ndtr.vjp
def _(g, out, input):
    x = _double(input)
    density = exp(-0.5 * x * x - log_ndtr(x)) * (1 / math.sqrt(2 * math.pi))
    return (narrow_to(_double(g) * density, input.dtype),)


log_ndtr.samples(_wide_normal)


@op(places=("special",))
def entr(input: Tensor) -> Tensor:
    """``-x * log(x)``: 0 at 0, minus infinity below."""
    x = _double(input)
    positive = x > 0.0
    inner = -x * log(where(positive, x, 1.0))
    out = where(positive, inner, where(x == 0.0, 0.0, -math.inf))
    return narrow_to(where(x != x, x, out), float_dtype(input))


@entr.vjp
def _(g, out, input):
    return (g * (-log(input) - 1.0),)


@entr.samples
def _(rng):
    yield Sample(rng.uniform(0.1, 2, size=(3, 4)))
