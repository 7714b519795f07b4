"""Special functions to the last few bits, over their whole range."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

import jitorch

EPS = np.finfo(np.float64).eps
LINE = np.concatenate([np.linspace(-30, 30, 481), [1e-300, -1e-300, 1e-9, 0.46875, 4.0, 1e5, np.inf, -np.inf, np.nan]])
ABOVE = np.concatenate([np.geomspace(1e-8, 1e8, 321), [np.inf, np.nan]])
UNIT = np.concatenate([np.linspace(-1, 1, 401), [1 - 1e-15, -1 + 1e-12, 1e-300, 1.5, np.nan]])


def close(name: str, x: np.ndarray, reference: np.ndarray, ulps: float, atol: float = 0.0) -> None:
    root = jitorch.special if hasattr(jitorch.special, name) else jitorch
    actual = getattr(root, name)(jitorch.tensor(x)).numpy()
    np.testing.assert_allclose(actual, reference, rtol=ulps * EPS, atol=atol)


def by_math(f: Callable[[float], float], x: np.ndarray) -> np.ndarray:
    return np.array([f(v) for v in x])


def by_torch(name: str, x: np.ndarray) -> np.ndarray:
    root = torch.special if hasattr(torch.special, name) else torch
    return getattr(root, name)(torch.tensor(x)).numpy()


def test_erfc() -> None:
    close("erfc", LINE, by_math(math.erfc, LINE), 12)


def test_normal_distribution() -> None:
    # PyTorch's tail is 0 from -8 on.
    close("ndtr", LINE, by_math(lambda v: 0.5 * math.erfc(-v * math.sqrt(0.5)), LINE), 20)


@pytest.mark.parametrize("name", ["erfcx", "log_ndtr", "i0e", "i1e"])
def test_on_the_line(name: str) -> None:
    x = LINE[LINE > -25] if name == "erfcx" else LINE
    close(name, x, by_torch(name, x), 100, atol=1e-300)


def test_inverse_of_erf() -> None:
    close("erfinv", UNIT, by_torch("erfinv", UNIT), 30)


def test_quantile_of_the_normal_distribution() -> None:
    p = np.concatenate([np.geomspace(1e-300, 0.5, 100), np.linspace(0.5, 1, 51), [0.0, -0.1, np.nan]])
    close("ndtri", p, by_torch("ndtri", p), 60, atol=1e-15)


@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_gamma(name: str) -> None:
    x = np.concatenate([ABOVE, np.linspace(-20.3, -0.3, 101), [0.0, -1.0, -2.0]])
    close(name, x, by_torch(name, x), 2000, atol=2e-13)


def test_trigamma_and_beyond() -> None:
    x = np.geomspace(1e-3, 1e3, 61)
    for n in (1, 2, 5):
        actual = jitorch.polygamma(n, jitorch.tensor(x)).numpy()
        np.testing.assert_allclose(actual, torch.polygamma(n, torch.tensor(x)).numpy(), rtol=1e-8)
    at = jitorch.tensor([1.0, 0.5], dtype=jitorch.float64)
    np.testing.assert_allclose(jitorch.polygamma(1, at).numpy(), [math.pi**2 / 6, math.pi**2 / 2], rtol=4 * EPS)


def test_single_precision_is_rounded_once() -> None:
    x = np.linspace(-5, 5, 101).astype(np.float32)
    actual = jitorch.special.erfc(jitorch.tensor(x)).numpy()
    expected = by_math(math.erfc, x.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_max_ulp(actual, expected, maxulp=1)


def test_hyperbolic_inverses_at_the_ends() -> None:
    x = np.concatenate([LINE, [1e200, -1e200, 1e-200]])
    close("asinh", x, np.arcsinh(x), 8)
    with np.errstate(invalid="ignore"):
        close("acosh", np.abs(x), np.arccosh(np.abs(x)), 8)
    with np.errstate(invalid="ignore", divide="ignore"):
        close("atanh", UNIT, np.arctanh(UNIT), 8)


def test_sums_of_exponentials_and_squares_do_not_overflow() -> None:
    big = jitorch.tensor([1e300, -math.inf, math.inf, 0.0], dtype=jitorch.float64)
    assert jitorch.hypot(big, big)[0].item() == pytest.approx(math.sqrt(2) * 1e300)
    assert jitorch.logaddexp(big, big).tolist()[1:] == [-math.inf, math.inf, math.log(2)]
