from __future__ import annotations

import math

import numpy as np
import pytest

from jitorch.ir.erf import SMALL, erf

LINE = np.concatenate(
    [np.linspace(-7, 7, 2801), [SMALL, -SMALL, 4.0, 6.0, 0.0, -0.0, 1e-300, 1e300, np.inf, -np.inf, np.nan]]
)


def test_beside_the_standard_library() -> None:
    expected = np.array([math.erf(x) for x in LINE])
    np.testing.assert_allclose(erf(LINE), expected, rtol=4 * np.finfo(float).eps, atol=0)
    assert np.array_equal(np.signbit(erf(LINE[:-1])), np.signbit(LINE[:-1]))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_narrow_dtypes_are_rounded_once(dtype: type) -> None:
    x = LINE[np.isnan(LINE) | np.isinf(LINE) | (np.abs(LINE) < 100)].astype(dtype)
    expected = np.array([math.erf(v) for v in x.astype(np.float64)]).astype(dtype)
    actual = erf(x)
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual.astype(float), expected.astype(float), rtol=float(np.finfo(dtype).eps), atol=0)


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_shapes(shape: tuple[int, ...]) -> None:
    assert erf(np.ones(shape)).shape == shape
