"""The stable order of rows, against NumPy's stable sort."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.ops.sort_keys import stable_order

DTYPES = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool".split()


def array(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, shape)
    if np.dtype(dtype).kind == "f":
        values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1.5, 1e-7, -1e-7])
        return np.copysign(values[rng.integers(0, len(values), shape)], rng.normal(size=shape)).astype(dtype)
    if np.dtype(dtype).kind == "b":
        return x > 3
    limits = np.iinfo(dtype)
    return np.where(x > 4, limits.max, np.where(x > 3, limits.min, x)).astype(dtype)


def expected(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    """By ranks, which may be turned round: equal elements have equal ranks."""
    _, ranks = np.unique(x, return_inverse=True, equal_nan=True)
    ranks = ranks.reshape(x.shape)
    return np.argsort(-ranks if descending else ranks, axis, kind="stable")


@pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_order(dtype: str, axis: int, descending: bool) -> None:
    x = array(dtype, (3, 40, 5))
    order = stable_order(x, axis, descending)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(order, expected(x, axis, descending))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (1,)])
def test_few_elements(shape: tuple[int, ...]) -> None:
    assert stable_order(np.zeros(shape, np.float32), len(shape) - 1, False).shape == shape


def test_operands_that_are_strided_are_not_changed() -> None:
    x = array("float32", (30, 20))
    before = x.copy()
    np.testing.assert_array_equal(stable_order(x[::2, ::-1], 0, False), expected(x[::2, ::-1], 0, False))
    np.testing.assert_array_equal(x, before)
