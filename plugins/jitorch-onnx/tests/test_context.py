"""What rules are given, and what is written without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jitorch_onnx import export
from jitorch_onnx.check import Runner
from jitorch_onnx.context import Context
from jitorch_onnx.file import File

import jitorch
from jitorch import dims, dtypes
from jitorch.ir.types import TensorType
from jitorch.ops import OPS, op

X = jitorch.from_numpy(np.arange(6, dtype=np.float32).reshape(2, 3))


def operators(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


def run(model: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    return Runner(model).run(dict(zip([value.name for value in model.graph.input], arrays)))


def test_constants_are_computed_here():
    model = export(lambda x: x * (jitorch.arange(3).float() / 2 + 1), X)
    assert operators(model) == ["Mul"]


def test_onnx_broadcasts_by_itself():
    row, column = jitorch.ones(3), jitorch.ones(2, 1)
    assert operators(export(lambda x: x + 1.5, X)) == ["Add"]
    assert operators(export(lambda x, r, c: x * r - c, (X, row, column))) == ["Mul", "Sub"]
    assert operators(export(lambda r, c: r + c, (row, column))) == ["Add"]


def test_a_broadcast_that_is_needed_is_written():
    model = export(lambda x: x[0].expand(4, 3), X)
    assert operators(model)[-1] == "Expand"
    both = export(lambda r: r.expand(4, 3) + r.expand(4, 3), jitorch.ones(3))
    assert operators(both) == ["Expand", "Add"]


def test_the_same_is_written_once():
    model = export(lambda x: jitorch.tanh(x) * jitorch.tanh(x), X)
    assert operators(model) == ["Tanh", "Mul"]


def test_an_empty_tensor_is_a_constant():
    model = export(lambda x: jitorch.exp(x[:, 3:]), X)
    assert operators(model) == ["Identity"]


def test_copies_and_detached_tensors_are_their_operands():
    assert operators(export(lambda x: jitorch.exp(x.clone().detach()), X)) == ["Exp"]


@pytest.fixture
def scale_op():
    @op(places=())
    def scale_for_test(x: Tensor, factor: float = 2.0) -> Tensor:  # noqa: F821
        """``x * factor``"""
        return x * factor

    yield scale_for_test
    del OPS["scale_for_test"]


def test_an_op_without_a_rule_is_its_body(scale_op):
    assert operators(export(lambda x: scale_op(x), X)) == ["Mul"]


def test_a_rule_attached_from_outside(scale_op):
    @scale_op.rule("onnx")
    def _(ctx, node):
        factor = ctx.value(node.inputs[1])
        if factor != 2.0:
            return None
        x = ctx.input(node.inputs[0])
        return ctx.node("Add", x, x)

    assert operators(export(lambda x: scale_op(x), X)) == ["Add"]
    assert operators(export(lambda x: scale_op(x, 3.0), X)) == ["Mul"]


def test_a_rule_that_onnx_refuses_falls_back_to_the_body(scale_op):
    @scale_op.rule("onnx")
    def _(ctx, node):
        return ctx.node("NoSuchOperator", ctx.input(node.inputs[0]))

    assert operators(export(lambda x: scale_op(x), X)) == ["Mul"]


# ---- sizes ----------------------------------------------------------------------------------------------
def sizes_of(dim: Any, opset: int, **values: int) -> int:
    """What the nodes that compute ``dim`` give for the symbols' ``values``."""
    file = File(opset)
    context = Context(file, {})
    for name in values:
        file.add_input(name, TensorType(dtypes.float32, (dims.symbol(name, low=1),)))
    size = context.size(dim)
    model = file.finish("main", [("size", size, TensorType(dtypes.int64, (1,)))])
    (found,) = Runner(model).run({name: np.zeros(n, np.float32) for name, n in values.items()})
    return int(found[0])


@pytest.mark.parametrize("opset", [13, 15, 18])
def test_sizes_are_computed(opset):
    n, m = dims.symbol("n", low=1), dims.symbol("m", low=1)
    for dim in (
        n,
        3 * n * m - 7,
        dims.floordiv(n - 9, 4) + dims.mod(m, 3),
        dims.dim_max(n, m) - dims.dim_min(n, 2 * m, 5),
    ):
        for values in ({"n": 4, "m": 5}, {"n": 1, "m": 7}):
            assert sizes_of(dim, opset, **values) == dims.evaluate(dim, values)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(-20, 20), st.integers(-5, 5).filter(bool), st.integers(-5, 5), st.integers(1, 30), st.integers(1, 30)
)
def test_division_of_sizes_rounds_down(offset, factor, other, n, m):
    a = factor * dims.symbol("n", low=1) + other * dims.symbol("m", low=1) + offset
    dim = dims.floordiv(a, 3) - 2 * dims.mod(a, 5)
    assert sizes_of(dim + dims.symbol("n", low=1), 18, n=n, m=m) == dims.evaluate(dim, {"n": n, "m": m}) + n


def test_reshapes_say_minus_one_or_nothing_where_they_can():
    axes = {"x": {0: "batch", 1: "time"}}
    x = jitorch.zeros(2, 4, 6)
    assert operators(export(lambda x: x.reshape(x.shape[0], x.shape[1], 2, 3), x, dynamic_axes=axes)) == ["Reshape"]
    assert operators(export(lambda x: x.reshape(-1, 6), x, dynamic_axes=axes)) == ["Reshape"]
    both = export(lambda x: x.reshape(x.shape[1], x.shape[0], 6), x, dynamic_axes=axes)
    assert operators(both)[-1] == "Reshape"
    assert "Concat" in operators(both)


def test_sizes_as_operands():
    model = export(lambda x: x.sum(0) / x.shape[0], X, dynamic_axes={"x": {0: "n"}})
    array = np.ones((7, 3), np.float32)
    np.testing.assert_allclose(run(model, array)[0], np.ones(3))
