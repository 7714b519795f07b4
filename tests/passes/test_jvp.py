"""Tangents: of every op with a gradient, of graphs, and through control flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jitorch.builder import graph_of
from jitorch.errors import AutogradError
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.verify import verify
from jitorch.ops import OPS, control
from jitorch.passes.grad import vjp
from jitorch.passes.jvp import jvp
from tests.control import branch, counted, f64, newton, recurrence
from tests.ops.test_generated import DIFFERENTIATED, ONCE, bound, expand, traced

H = 1e-6
"""The step of difference quotients, in double precision."""


def floats(values: Any) -> list[int]:
    """Which values of a graph are float64 tensors."""
    return [
        i for i, v in enumerate(values) if getattr(v.type, "shape", None) is not None and v.type.dtype.name == "float64"
    ]


def moved(inputs: list[Any], wrt: list[int], tangents: list[Any], by: float) -> list[Any]:
    along = dict(zip(wrt, tangents))
    return [x + by * along[i] if i in along else x for i, x in enumerate(inputs)]


def check(graph: Graph, inputs: list[Any], rtol: float = 1e-5, atol: float = 1e-7) -> Graph:
    """The tangents of ``graph`` against differences, and as the adjoint of its vjp; gives the graph with tangents."""
    rng = np.random.default_rng(1)
    wrt, outputs = floats(graph.inputs), floats(graph.outputs)
    tangents = [rng.normal(size=np.shape(inputs[i])) for i in wrt]
    forward = jvp(graph, wrt, outputs)
    verify(forward)
    results = interpret(forward, [*inputs, *tangents], expand)
    count = len(graph.outputs)
    above, below = (interpret(graph, moved(inputs, wrt, tangents, s * H), expand) for s in (1, -1))
    for found, o in zip(results[count:], outputs):
        np.testing.assert_allclose(found, (above[o] - below[o]) / (2 * H), rtol, atol)
    for found, same in zip(results[:count], interpret(graph, inputs, expand)):
        np.testing.assert_array_equal(found, same)
    cotangents = [rng.normal(size=np.shape(results[o])) for o in outputs]
    pulled = interpret(vjp(graph, wrt, outputs), [*inputs, *cotangents], expand)
    left = sum(np.vdot(u, t) for u, t in zip(cotangents, results[count:]))
    right = sum(np.vdot(g, t) for g, t in zip(pulled, tangents))
    np.testing.assert_allclose(left, right, 1e-9, 1e-9)
    return forward


@pytest.mark.parametrize(("op", "sample"), DIFFERENTIATED)
def test_every_op_has_tangents_of_first_and_second_order(op: Any, sample: Any) -> None:
    operands, attrs = bound(op, sample)
    graph, arrays = traced(op, operands, attrs)
    if not floats(graph.outputs) or not floats(graph.inputs):
        return
    forward = check(graph, arrays)
    if op.name in ONCE or any(n.op.name in ONCE for n in forward.nodes):
        return
    rng = np.random.default_rng(2)
    tangents = [rng.normal(size=np.shape(arrays[i])) for i in floats(graph.inputs)]
    check(forward, [*arrays, *tangents], 1e-4, 1e-6)


@pytest.mark.parametrize("make", [recurrence, counted, newton, branch])
def test_control_flow_of_any_order(make: Any) -> None:
    graph = make()
    rng = np.random.default_rng(0)
    inputs = [
        rng.uniform(0.5, 1.5, v.type.shape) if i in floats(graph.inputs) else 3 for i, v in enumerate(graph.inputs)
    ]
    forward = check(graph, inputs)
    assert sum(n.op.name in control.CONTROL for n in forward.nodes) == sum(
        n.op.name in control.CONTROL for n in graph.nodes
    )
    tangents = [rng.normal(size=np.shape(inputs[i])) for i in floats(graph.inputs)]
    check(forward, [*inputs, *tangents], 1e-4, 1e-6)
    reverse = vjp(graph, floats(graph.inputs), floats(graph.outputs))
    cotangents = [rng.normal(size=v.type.shape) for v in reverse.inputs[len(graph.inputs) :]]
    check(reverse, [*inputs, *cotangents], 1e-4, 1e-6)


def test_a_loop_in_a_branch_in_a_scan() -> None:
    row, number = f64(2), f64()
    test = graph_of(lambda x, c: x.sum() < 6, [row, row], "test")
    turn = graph_of(lambda x, c: x * 1.5 + c.exp() * 0.1, [row, row], "turn")
    grown = graph_of(lambda x, c: control.run_while([x, c], test, turn, 1)[0], [row, row], "grown")
    other = graph_of(lambda x, c: x.sin() * c, [row, row], "other")

    def step(total: Any, x: Any, c: Any) -> Any:
        (y,) = control.run_cond(x.sum() > 0, [x, c], grown, other)
        return total + (y * y).sum(), y * total

    body = graph_of(step, [number, row, row], "step")
    graph = graph_of(lambda t, xs, c: control.run_scan([t], [xs], [c], body, 3), [number, f64(3, 2), row], "whole")
    rng = np.random.default_rng(3)
    inputs = [np.array(1.0), np.array([[1.0, 2.0], [-1.0, -0.5], [0.3, 0.2]]), rng.normal(size=2)]
    forward = check(graph, inputs)
    check(forward, [*inputs, *(rng.normal(size=np.shape(x)) for x in inputs)], 1e-4, 1e-6)


def test_only_what_depends_on_the_inputs_is_carried_twice() -> None:
    types = [f64(), f64()]
    body = graph_of(lambda x, n: (x * 2.0, n + 1.0), types, "body")
    test = graph_of(lambda x, n: n < 3.0, types, "test")
    graph = graph_of(lambda x, n: control.run_while([x, n], test, body), types, "main")
    forward = jvp(graph, [0], [0, 1])
    (loop,) = [n for n in forward.nodes if n.op.name == "while_loop"]
    assert len(loop.outputs) == 3
    assert [float(x) for x in interpret(forward, [np.array(1.0), np.array(0.0), np.array(1.0)])] == [8.0, 3.0, 8.0, 0.0]


def test_detach_has_no_tangent_and_a_silent_write_has() -> None:
    graph = graph_of(lambda x: x * x.detach(), [f64(2)], "main")
    x, t = np.array([2.0, 3.0]), np.array([1.0, 10.0])
    np.testing.assert_array_equal(interpret(jvp(graph, [0], [0]), [x, t])[1], x * t)
    written = graph_of(lambda x, y: OPS["overwritten"](x, y * 2.0), [f64(2), f64(2)], "main")
    found = interpret(jvp(written, [0, 1], [0]), [x, x, 5 * t, t])[1]
    np.testing.assert_array_equal(found, 2 * t)


def test_the_tangent_of_softmax_needs_no_more_than_its_result() -> None:
    graph = graph_of(lambda x: x.softmax(0), [f64(4)], "main")
    names = [n.op.name for n in jvp(graph, [0], [0]).nodes]
    assert names.count("softmax") == 1
    assert "exp" not in names


def test_an_op_without_a_gradient_says_so() -> None:
    graph = graph_of(lambda x: OPS["reduce_prod"](x, axes=(0,)), [f64(3)], "main")
    with pytest.raises(AutogradError, match="reduce_prod has no gradient"):
        jvp(graph, [0], [0])
