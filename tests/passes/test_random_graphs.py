"""Laws of the passes, over random graphs, against the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.verify import verify
from jitorch.ops import OPS
from jitorch.passes.decompose import decompose, expand
from jitorch.passes.grad import vjp
from jitorch.passes.partition import partition
from jitorch.passes.simplify import simplify
from tests.filecheck import in_place
from tests.passes.random_graphs import graphs, inputs_of
from tests.passes.test_cases import PRESERVING


def assert_same(actual: list[Any], expected: list[Any]) -> None:
    for a, e in zip(actual, expected, strict=True):
        # Roundings may be regrouped, next to a cancellation as well.
        np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("change", PRESERVING.values(), ids=PRESERVING.keys())
@given(graph=graphs())
def test_a_pass_changes_no_result(change: Callable[[Graph], bool], graph: Graph) -> None:
    inputs = inputs_of(graph)
    expected = interpret(graph, inputs, expand)
    changed = verify(in_place(change)(graph.copy()))
    assert_same(interpret(changed, inputs, expand), expected)
    assert Graph.parse(str(changed), OPS) == changed


@given(graphs())
def test_all_passes_one_after_the_other(graph: Graph) -> None:
    inputs = inputs_of(graph)
    expected = interpret(graph, inputs, expand)
    for change in PRESERVING.values():
        change(graph)
    verify(graph)
    assert all(node.op.body is None for node in graph)
    assert_same(interpret(graph, inputs), expected)


@given(graphs())
def test_gradients_do_not_depend_on_what_is_done_first(graph: Graph) -> None:
    wrt = range(len(graph.inputs))
    simple = graph.copy()
    simplify(simple)
    cotangent = np.ones(np.shape(interpret(graph, inputs_of(graph), expand)[0]))
    before, after = (verify(vjp(g, wrt, [0])) for g in (graph, simple))
    arguments = [*inputs_of(graph), cotangent]
    assert_same(interpret(after, arguments, expand), interpret(before, arguments, expand))


@given(graphs(smooth=True))
def test_gradients_are_those_of_finite_differences(graph: Graph) -> None:
    graph.outputs = graph.outputs[:1]
    decompose(graph)
    inputs = inputs_of(graph)
    rng = np.random.default_rng(1)
    cotangent = rng.standard_normal(np.shape(interpret(graph, inputs)[0]))
    directions = [rng.standard_normal(x.shape) for x in inputs]
    step = 1e-5
    ahead, behind = (interpret(graph, [x + s * d for x, d in zip(inputs, directions)])[0] for s in (step, -step))
    expected = np.sum(cotangent * (ahead - behind)) / (2 * step)
    gradients = interpret(vjp(graph, range(len(inputs)), [0]), [*inputs, cotangent], expand)
    actual = sum(np.sum(g * d) for g, d in zip(gradients, directions))
    # The error of central differences is of the order of the step squared.
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@given(graphs())
def test_regions_compute_what_the_graph_computes(graph: Graph) -> None:
    decompose(graph)
    inputs = inputs_of(graph)
    expected = interpret(graph, inputs)
    known: dict[Any, Any] = dict(zip(graph.inputs, inputs))
    views = {"reshape_to", "transpose_axes", "broadcast_to", "slice_axes"}
    for region in partition(graph, lambda node: "views" if node.op.name in views else "arithmetic"):
        results = interpret(verify(region.graph), [known[v] for v in region.inputs])
        known.update(zip(region.outputs, results, strict=True))
    assert_same([known[v] for v in graph.outputs], expected)
