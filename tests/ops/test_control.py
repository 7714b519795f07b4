"""cond, while_loop, scan and check: types, eager and recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import dtypes
from jitorch.builder import graph_of
from jitorch.errors import ArgumentError, CheckFailed, VerifyError
from jitorch.ir.graph import Graph
from jitorch.ir.types import BOOL, EFFECT, FLOAT, INT, TensorType, Token
from jitorch.ir.verify import verify
from jitorch.ops import OPS, control
from tests.control import GRAPHS, arguments, body, f64, meaning

X = f64(3)


def test_cond_takes_python_bools_and_runs_one_branch() -> None:
    then, orelse = body(lambda x: x + 1, X, name="then"), body(lambda x: x * 2, X, name="orelse")
    x = jitorch.tensor([1.0, 2.0, 3.0], dtype=jitorch.float64)
    assert control.run_cond(True, [x], then, orelse)[0].tolist() == [2, 3, 4]
    assert control.run_cond(x.sum() < 0, [x], then, orelse)[0].tolist() == [2, 4, 6]


def test_loops_carry_python_numbers() -> None:
    test = body(lambda i, s: i < 4, INT, FLOAT, name="test")
    turn = body(lambda i, s: (i + 1, s * 1.5), INT, FLOAT)
    assert control.run_while([0, 1.0], test, turn) == (4, 1.5**4)
    assert control.run_while([9, 1.0], test, turn) == (9, 1.0)


def test_a_scan_stacks_numbers_as_tensors() -> None:
    step = body(lambda i, x: (i + 1, i, x * 2), INT, f64())
    last, numbers, doubled = control.run_scan([5], [jitorch.ones(3, dtype=jitorch.float64)], [], step, 3)
    assert (last, numbers.tolist(), doubled.tolist()) == (8, [5, 6, 7], [2, 2, 2])
    assert numbers.dtype is jitorch.int64


def test_results_of_no_steps_are_the_operands_in_memory_of_their_own() -> None:
    step = body(lambda h, x: (h + x, h), X, X)
    h, xs = jitorch.ones(3, dtype=jitorch.float64), jitorch.zeros(0, 3, dtype=jitorch.float64)
    last, rows = control.run_scan([h], [xs], [], step, 0)
    last += 1
    assert (h.tolist(), last.tolist(), tuple(rows.shape)) == ([1, 1, 1], [2, 2, 2], (0, 3))


def test_a_failed_check_tells_its_code() -> None:
    x = jitorch.tensor([1.0, -1.0])
    token = control.check((x < 2).all(), control.begin(), code=3)
    assert isinstance(token, Token)
    with pytest.raises(CheckFailed) as caught:
        control.check((x > 0).all(), token, code=7)
    assert caught.value.code == 7
    assert isinstance(caught.value, AssertionError)


def test_tokens_go_through_graphs() -> None:
    then = body(lambda x, t: (x, control.check(x.sum() > 0, t, code=1)), X, EFFECT, name="then")
    orelse = body(lambda x, t: (x * 2, t), X, EFFECT, name="orelse")

    def whole(p: Any, x: Any) -> Any:
        return control.run_cond(p, [x, control.begin()], then, orelse)[0]

    graph = verify(graph_of(whole, [TensorType(dtypes.bool_, ()), X]))
    assert Graph.parse(str(graph), OPS) == graph
    assert meaning(graph, [np.asarray(False), -np.ones(3)])[0].tolist() == [-2, -2, -2]
    with pytest.raises(CheckFailed):
        meaning(graph, [np.asarray(True), -np.ones(3)])


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_its_text(name: str) -> None:
    graph = verify(GRAPHS[name]())
    again = Graph.parse(str(graph), OPS)
    assert again == graph
    for got, want in zip(meaning(again, arguments(graph)), meaning(graph, arguments(graph)), strict=True):
        np.testing.assert_array_equal(got, want)


def test_number_of_a_tensor() -> None:
    assert control.number_of(jitorch.tensor(4)) == 4
    graph = graph_of(lambda x: control.number_of(x.sum()), [X])
    assert graph.outputs[0].type == FLOAT
    with pytest.raises(ArgumentError, match="number_of"):
        control.number_of(jitorch.ones(3))


SAME, DOUBLE = body(lambda x: x, X), body(lambda x: (x, x), X)
LESS = body(lambda x: x.sum() < 1, X, name="test")


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda x: control.cond(x, [x], then=SAME, orelse=SAME), "one bool"),
        (lambda x: control.cond(True, [x, x], then=SAME, orelse=SAME), "then takes other types"),
        (lambda x: control.cond(True, [x], then=SAME, orelse=DOUBLE), "orelse gives wrong types"),
        (lambda x: control.while_loop([x], test=SAME, body=SAME), "the test must be one bool"),
        (lambda x: control.while_loop([x], test=DOUBLE, body=SAME), "test must give one bool"),
        (lambda x: control.while_loop([x], test=LESS, body=DOUBLE), "body gives wrong types"),
        (lambda x: control.while_loop([x], test=LESS, body=SAME, constants=2), "constants"),
        (lambda x: control.scan([x], body=SAME, carried=0, stacked=1, length=2), "first axis"),
        (lambda x: control.scan([x], body=SAME, carried=2, stacked=0, length=2), "carried and stacked"),
        (lambda x: control.scan([x], body=body(lambda x: x > 0, X), carried=1, stacked=0, length=2), "wrong types"),
        (lambda x: control.check(x, control.begin()), "one bool"),
    ],
)  # fmt: skip
def test_graphs_that_do_not_fit(call: Any, what: str) -> None:
    with pytest.raises(ArgumentError, match=what):
        call(jitorch.ones(3, dtype=jitorch.float64))


def test_the_verifier_asks_the_type_rule_and_looks_inside() -> None:
    graph = GRAPHS["branch"]()
    node = next(n for n in graph.nodes if n.op.name == "cond")
    node.attrs["orelse"] = SAME
    with pytest.raises(VerifyError, match="orelse takes other types"):
        verify(graph)
    graph = GRAPHS["branch"]()
    inner = next(n for n in graph.nodes if n.op.name == "cond").attrs["then"]
    inner.outputs[0] = graph.inputs[0]
    with pytest.raises(VerifyError):
        verify(graph)
    assert BOOL.dtype is dtypes.bool_
