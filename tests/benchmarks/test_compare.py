import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks.compare import difference, mismatch

FLOATS = arrays.arrays(np.float32, (3, 2), elements=st.floats(-1e6, 1e6, width=32))


@given(FLOATS)
def test_equal_arrays_do_not_differ(x):
    assert difference(x, x.astype(np.float64)) == 0


@given(FLOATS, st.floats(1e-3, 10))
def test_a_scaled_array_is_off_by_the_scale(x, factor):
    if np.linalg.norm(x) > 1e-3:
        assert difference(x.astype(np.float64) * (1 + factor), x) == pytest.approx(factor, rel=1e-5)


def test_non_finite_elements_must_agree():
    expected = np.array([1.0, np.nan, np.inf])
    assert difference(expected.copy(), expected) == 0
    assert difference(np.array([1.0, 2.0, np.inf]), expected) == np.inf
    assert difference(np.array([np.nan, np.nan, np.inf]), expected) == np.inf
    assert difference(np.array([1.0, np.nan, -np.inf]), expected) == np.inf


def test_nothing_expected_but_zero():
    assert difference(np.array([0.5]), np.array([0.0])) == 0.5


def test_mismatch_says_what_is_wrong():
    x = np.ones((2, 2), np.float32)
    assert mismatch([x], [x], 1e-6) == ""
    assert mismatch([x * 1.1], [x], 0.2) == ""
    assert mismatch([x * 1.1], [x], 1e-3) == "output 0 is off by 0.1, allowed 0.001"
    assert mismatch([x], [x, x], 1.0) == "1 outputs, expected 2"
    assert mismatch([x, x[0]], [x, x], 1.0) == "output 1 has shape (2,), expected (2, 2)"
    assert mismatch([x * np.nan], [x], 1.0) == "output 0 is off by inf, allowed 1"
