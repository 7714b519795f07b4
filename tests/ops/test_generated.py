"""Tests derived from the registry: one case for each op and each of its samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from jitorch.builder import GraphBuilder, body_graph
from jitorch.ir.graph import Graph, Node
from jitorch.ir.interpret import interpret
from jitorch.ir.verify import verify
from jitorch.ops import OPS, dispatch
from jitorch.ops.registry import Op, Sample, _canonical
from jitorch.tensor import Tensor

COMPOSITE = "composite"


def samples_of(op: Any) -> Iterator[Sample]:
    rule = op.rules.get("samples")
    return iter(()) if rule is None else rule(np.random.default_rng(0))


CASES = [pytest.param(op, s, id=f"{name}-{i}") for name, op in OPS.items() for i, s in enumerate(samples_of(op))]


def tensors(value: Any) -> Any:
    """A sample's argument with arrays as tensors."""
    if isinstance(value, np.ndarray):
        return Tensor._from_array(value.copy())
    if isinstance(value, list):
        return [tensors(v) for v in value]
    return value


def bound(op: Op, sample: Sample) -> tuple[list[Any], dict[str, Any]]:
    """The sample's flat operands, as tensors and numbers, and its attributes."""
    kwargs = _canonical(op._known, {name: tensors(v) for name, v in sample.kwargs.items()})
    operands, attrs = op.bind(tuple(tensors(v) for v in sample.args), kwargs)
    return list(operands), attrs


def call(op: Op, operands: list[Any], attrs: dict[str, Any]) -> tuple[Any, ...]:
    """The op through its public door, with operands already flat."""
    names = {p.name: v for p, v in zip(op.operands, op.group(operands))}
    result = op(**names, **attrs)
    return result if isinstance(result, tuple) else (result,)


def expand(node: Node) -> Graph:
    return body_graph(node.op, tuple(None if v is None else v.type for v in node.inputs), tuple(node.attrs.items()))


def traced(op: Op, operands: list[Any], attrs: dict[str, Any]) -> tuple[Graph, list[np.ndarray]]:
    """The call as a graph over its tensor operands."""
    graph = Graph(op.name)
    builder = GraphBuilder(graph)
    arrays = [x._array for x in operands if isinstance(x, Tensor)]
    wrapped = [builder.wrap(graph.add_input(x.type)) if isinstance(x, Tensor) else x for x in operands]
    with dispatch.interpreting(builder):
        graph.outputs = [builder.lift(r) for r in call(op, wrapped, attrs)]
    verify(graph)
    return graph, arrays


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_graph_means_what_eager_computes(op: Op, sample: Sample) -> None:
    operands, attrs = bound(op, sample)
    graph, arrays = traced(op, operands, attrs)
    results = interpret(graph, arrays, expand)
    eager = call(op, operands, attrs)
    assert len(results) == len(eager)
    for got, want, value in zip(results, eager, graph.outputs):
        if not isinstance(want, Tensor):
            assert got == want
            continue
        assert want.type == value.type
        np.testing.assert_allclose(got, want._array, rtol=1e-12, atol=1e-12)
