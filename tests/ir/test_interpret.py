from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.errors import CompilerBug
from jitorch.ir import types
from jitorch.ir.graph import Graph, Node
from jitorch.ir.interpret import as_type, interpret
from tests.ir import toys
from tests.ir.random_graphs import typed_graphs
from tests.ir.toys import f32

A = np.arange(6, dtype=np.float32).reshape(2, 3)
B = np.full((2, 3), 10, np.float32)


def test_sum_of_three() -> None:
    (result,) = interpret(toys.sum_of_three(), [A, B])
    np.testing.assert_array_equal(result, A + B + A)


def test_sequences_many_outputs_and_absent_operands() -> None:
    graph = Graph("main", [f32(2, 3), f32(2, 3)])
    joined = toys.apply(graph, toys.concat, *graph.inputs, axis=0)
    halves = graph.append(toys.halves, [joined], {}, [f32(2, 3)] * 2)
    graph.outputs = [*halves.outputs, toys.apply(graph, toys.biased, graph.inputs[0], None)]
    first, second, same = interpret(graph, [A, B])
    np.testing.assert_array_equal(first, A)
    np.testing.assert_array_equal(second, B)
    np.testing.assert_array_equal(same, A)


def test_results_are_of_exactly_the_type() -> None:
    graph = Graph("main", [types.INT, types.INT])
    graph.outputs = [toys.apply(graph, toys.add, *graph.inputs)]
    (result,) = interpret(graph, [2, 3])
    assert (result, type(result)) == (5, int)


@pytest.mark.parametrize(
    ("value", "type", "expected"),
    [(True, types.INT, 1), (np.float32(2), types.FLOAT, 2.0), (None, types.NONE, None), ("s", types.STR, "s")],
)
def test_as_type(value: Any, type: types.Type, expected: object) -> None:
    result = as_type(value, type)
    assert result == expected
    assert result.__class__ is expected.__class__


def test_as_tensor_type() -> None:
    result = as_type([1, 2], types.TensorType(dtypes.float16, (2,)))
    assert result.dtype == np.float16


def test_composite_runs_through_its_body() -> None:
    def expand(node: Node) -> Graph:
        body = Graph("double", [v.type for v in node.operands])
        body.outputs = [toys.apply(body, toys.add, *body.inputs * 2)]
        return body

    graph = Graph("main", [f32(2, 3)])
    graph.outputs = [graph.append(toys.double, graph.inputs, {}, [f32(2, 3)]).output]
    (result,) = interpret(graph, [A], expand)
    np.testing.assert_array_equal(result, 2 * A)
    with pytest.raises(CompilerBug, match="double has no numpy rule"):
        interpret(graph, [A])


def test_wrong_number_of_inputs() -> None:
    with pytest.raises(CompilerBug, match="takes 2 inputs, got 1"):
        interpret(toys.sum_of_three(), [A])


@given(typed_graphs(), st.integers(0, 99))
def test_text_means_what_the_graph_means(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal((4, 3), np.float32) for _ in graph.inputs]
    again = Graph.parse(str(graph), toys.OPS)
    for expected, actual, value in zip(interpret(graph, inputs), interpret(again, inputs), graph.outputs, strict=True):
        np.testing.assert_array_equal(actual, expected)
        assert isinstance(value.type, types.TensorType)
        assert actual.shape == value.type.shape
