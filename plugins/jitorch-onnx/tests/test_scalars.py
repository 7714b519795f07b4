"""Each machine scalar in onnxruntime against its meaning, at corner cases and at random."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jitorch_onnx import export
from jitorch_onnx.check import Runner
from jitorch_onnx.scalars import SCALARS

import jitorch
from jitorch import dtypes
from jitorch.dtypes import Category
from jitorch.ir.scalars import TABLE
from jitorch.ops import OPS

BY_SCALAR = {op.scalar: op for op in OPS.values() if op.scalar is not None and op.promote in ("default", "float")}
FLOATS = np.array(
    [0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, 3.0, 1e-6, -1e-6, 1e6, -7.25, 30.0, np.inf, -np.inf], np.float32
)
INTEGERS = np.array([0, 1, -1, 2, -2, 3, 7, -7, 31, 100, 2**20, -(2**20)], np.int64)
BOOLS = np.array([True, False])
UNDEFINED_AT_INFINITY = {"mod", "fmod", "floordiv"}
"""inf % x and x // inf are NaN in one library and not in another."""


def operands(name: str, values: np.ndarray) -> list[np.ndarray]:
    """All combinations of ``values`` for each operand of the scalar."""
    arity = TABLE[name].arity
    grids = np.meshgrid(*[values] * arity, indexing="ij")
    arrays = [np.ascontiguousarray(g.ravel()) for g in grids]
    if name == "where":
        arrays[0] = arrays[0] != 0
    return arrays


def run(name: str, arrays: list[np.ndarray]) -> np.ndarray:
    op = BY_SCALAR[name]

    def function(*tensors: Any) -> Any:
        return op(*tensors)

    model = export(function, tuple(map(jitorch.from_numpy, arrays)), verify=False)
    inputs = [value.name for value in model.graph.input]
    return Runner(model).run(dict(zip(inputs, arrays)))[0]


def meaning(name: str, arrays: list[np.ndarray]) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(TABLE[name].numpy(*arrays))


def accepting(category: Category) -> list[str]:
    return sorted(name for name in BY_SCALAR if category in TABLE[name].accepts)


def test_every_scalar_of_numbers_has_its_word():
    assert set(TABLE) - set(SCALARS) == {"bits", "philox"}
    assert set(SCALARS) <= set(TABLE)
    assert set(BY_SCALAR) == set(SCALARS)


@pytest.mark.parametrize("name", accepting(Category.FLOAT))
def test_floats(name):
    arrays = operands(name, FLOATS if name not in UNDEFINED_AT_INFINITY else FLOATS[np.isfinite(FLOATS)])
    if name in UNDEFINED_AT_INFINITY:
        # A divisor of 0 is undefined as well.
        arrays = [a[arrays[1] != 0] for a in arrays]
    expected = meaning(name, arrays)
    got = run(name, arrays)
    assert got.dtype == expected.dtype
    if name == "pow":
        # C's pow and NumPy's agree but for the last digits.
        np.testing.assert_allclose(got, expected, rtol=1e-5)
    else:
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("name", accepting(Category.INT))
def test_integers(name):
    arrays = operands(name, INTEGERS)
    if name == "pow":
        arrays = [a[(arrays[1] >= 0) & (arrays[1] <= 7) & (np.abs(arrays[0]) <= 100)] for a in arrays]
    np.testing.assert_array_equal(run(name, arrays), meaning(name, arrays), strict=True)


@pytest.mark.parametrize("name", accepting(Category.BOOL))
def test_bools(name):
    arrays = operands(name, BOOLS)
    np.testing.assert_array_equal(run(name, arrays), meaning(name, arrays), strict=True)


@pytest.mark.parametrize("name", ["log1p", "expm1"])
def test_accurate_near_zero(name):
    x = np.array([1e-8, -1e-8, 1e-12, 1e-4, -1e-4, 0.0], np.float64)
    np.testing.assert_allclose(run(name, [x]), meaning(name, [x]), rtol=1e-14)


def test_nan_stays_nan():
    x = np.array([np.nan, 1.0], np.float32)
    for name in ("expm1", "log1p", "trunc", "sign", "log2", "round", "abs"):
        assert np.isnan(run(name, [x])[0]), name


@pytest.mark.parametrize("dtype", [dtypes.int32, dtypes.int64], ids=str)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_integer_division_has_pythons_sign(dtype, data):
    limits = np.iinfo(dtype.numpy)
    numbers = st.integers(limits.min, limits.max)
    pairs = data.draw(st.lists(st.tuples(numbers, numbers.filter(bool)), min_size=1, max_size=8))
    x, y = (np.array(column, dtype.numpy) for column in zip(*pairs))
    wrapped = [(a // b - limits.min) % 2**dtype.bits + limits.min for a, b in pairs]
    assert run("floordiv", [x, y]).tolist() == wrapped
    assert run("mod", [x, y]).tolist() == [a % b for a, b in pairs]


def test_division_of_integers_never_traps():
    limits = np.iinfo(np.int64)
    x, y = np.array([limits.min, limits.min, 5, 5]), np.array([-1, 0, -1, 0])
    assert run("floordiv", [x, y]).tolist() == [limits.min, 0, -5, 0]
    assert run("mod", [x, y]).tolist() == run("fmod", [x, y]).tolist() == [0, 0, 0, 0]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-3, 70)), min_size=1, max_size=8))
def test_shifts(pairs):
    x, count = (np.array(column, np.int64) for column in zip(*pairs))
    for name in ("shl", "shr"):
        np.testing.assert_array_equal(run(name, [x, count]), meaning(name, [x, count]))


def test_half_precision_is_written_as_such():
    x = np.array([0.5, 2.0], np.float16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(run("sqrt", [x]), np.sqrt(x), strict=True)
