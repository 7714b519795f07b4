"""The error function on whole arrays.

W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969): relative
error below 1e-15 in double precision.  Coefficients stand with the highest power first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

SMALL = 0.46875
"""Below it, `NEAR` approximates ``erf(x) / x``; up to 4, `MIDDLE` approximates ``exp(x * x) * erfc(x)``."""

NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
MIDDLE = (
    (
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
        2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
        3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
    ),
)  # fmt: skip
TAIL = (
    (
        1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
        1.60837851487422766e-2, 6.58749161529837803e-4,
    ),
    (
        1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)  # fmt: skip


def horner(coefficients: Sequence[float], x: Any) -> Any:
    """The polynomial with the highest coefficient first."""
    total: Any = coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c
    return total


BLOCK = 1 << 14
"""Elements at a time: what a block needs stays in the cache."""


def erf(x: Any) -> Any:
    """``2 / sqrt(pi)`` times the integral of ``exp(-t*t)`` from 0 to ``x``, in the dtype of ``x``."""
    array = np.asarray(x)
    flat = array.ravel()
    result = np.empty(flat.shape, array.dtype)
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK].astype(np.float64)
        result[start : start + BLOCK] = _erf(block)
    return result.reshape(array.shape)


def _erf(x: Any) -> Any:
    size = np.abs(x)
    # From 6 on it is 1 to the last bit; a NaN stays one.
    many = np.clip(size, SMALL, 6.0)
    complement = np.exp(-many * many) * _middle(np.minimum(many, 4.0))
    far = np.flatnonzero(many > 4.0)
    if far.size:
        complement[far] = np.exp(-many[far] * many[far]) * _tail(many[far])
    few = np.clip(x, -SMALL, SMALL)
    square = few * few
    near = few * horner(NEAR[0], square) / horner(NEAR[1], square)
    return np.where(size < SMALL, near, np.copysign(1.0 - complement, x))


def _middle(x: Any) -> Any:
    return horner(MIDDLE[0], x) / horner(MIDDLE[1], x)


def _tail(x: Any) -> Any:
    inverse = 1.0 / (x * x)
    return (1 / math.sqrt(math.pi) - inverse * horner(TAIL[0], inverse) / horner(TAIL[1], inverse)) / x
