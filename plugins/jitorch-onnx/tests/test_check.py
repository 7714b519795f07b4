"""Comparison, and what runs a model."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from jitorch_onnx import check, export

import jitorch
from jitorch.errors import CompilerBug


def test_the_greatest_difference_is_relative_to_the_greatest_element():
    want = np.array([1.0, 1000.0], np.float32)
    assert check.compare(["y"], [want + np.float32(0.05)], [want], None) == pytest.approx(5e-5, rel=0.05)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (np.float32([1.0]), np.float32([1.001])),
        (np.float32([1.0]), np.float32([np.nan])),
        (np.float32([np.nan]), np.float32([1.0])),
        (np.float32([np.inf]), np.float32([-np.inf])),
        (np.float32([1.0]), np.float32([np.inf])),
        (np.int64([1]), np.int64([2])),
        (np.array([True]), np.array([False])),
    ],
)
def test_differences_are_errors(got, want):
    with pytest.raises(CompilerBug, match=r"output 'y' .* differs"):
        check.compare(["y"], [got], [want], None)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_equal_special_values(special):
    array = np.array([special, 2.0])
    assert check.compare(["y"], [array], [array.copy()], None) == 0.0


def test_types_must_be_equal():
    with pytest.raises(CompilerBug, match="another type"):
        check.compare(["y"], [np.zeros(2, np.float32)], [np.zeros(2)], None)
    with pytest.raises(CompilerBug, match="another type"):
        check.compare(["y"], [np.zeros((2, 1))], [np.zeros(2)], None)


def test_tolerance_of_the_caller():
    got, want = [np.float32([1.01])], [np.float32([1.0])]
    assert check.compare(["y"], got, want, 0.1) > 0
    with pytest.raises(CompilerBug, match="differs"):
        check.compare(["y"], got, want, 1e-3)


def test_halves_are_compared_at_their_precision():
    want = np.array([1.0], ml_dtypes.bfloat16)
    got = np.array([1.0 + 2**-7], ml_dtypes.bfloat16)
    assert check.compare(["y"], [got], [want], None) == 2**-7


def test_where_onnxruntime_lacks_a_kernel_the_reference_evaluator_runs():
    x = jitorch.from_numpy(np.linspace(-3, 3, 7))
    with pytest.warns(UserWarning, match="onnxruntime cannot run this model"):
        export(lambda x: jitorch.erf(x), x)


def test_bfloat16_is_run_by_the_reference_evaluator():
    x = jitorch.from_numpy(np.linspace(-3, 3, 7).astype(np.float32)).to(jitorch.bfloat16)
    with pytest.warns(UserWarning, match="no bfloat16"):
        export(lambda x: x * 2, x)


def test_a_model_that_is_not_valid():
    model = export(lambda x: x + 1, jitorch.zeros(2))
    model.graph.node[0].op_type = "Less"
    with pytest.raises(CompilerBug, match="not valid"):
        check.check_model(model)
    assert isinstance(model, onnx.ModelProto)
