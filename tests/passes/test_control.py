"""Passes over branches and loops: what they change, and that results stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.builder import graph_of
from jitorch.compiler import lift_literals
from jitorch.ir.graph import Graph, Node
from jitorch.ir.types import EFFECT, INT, TensorType, Token
from jitorch.ir.verify import verify
from jitorch.ops import control
from jitorch.passes.clean import cse, dce, fold
from jitorch.passes.control import bound_sizes, name_bound_sizes, prune, sink_constants, strip_checks
from jitorch.passes.decompose import decompose
from jitorch.passes.grad import vjp
from jitorch.passes.hoist import hoist
from jitorch.passes.simplify import simplify
from tests.control import GRAPHS, arguments, body, f64, meaning, prepared

X = f64(3)


def only(graph: Graph, name: str) -> Node:
    (found,) = [node for node in graph.nodes if node.op.name == name]
    return found


def counting(turn: Callable[..., Any], *types: Any, constants: int = 0) -> Callable[..., Any]:
    """A function that does ``turn`` three times; it carries a number before the values of ``types``."""
    test = body(lambda i, *xs: i < 3, INT, *types, name="test")
    step = body(lambda i, *xs: (i + 1, *turn(*xs)), INT, *types)
    return lambda *xs: control.run_while([0, *xs], test, step, constants)[1:]


def assert_same(change: Callable[[Graph], bool], graph: Graph, *args: Any) -> Graph:
    """``change`` changes ``graph`` and none of its results; the changed graph."""
    work = verify(graph).copy()
    decompose(work)
    assert change(work)
    verify(work)
    for got, want in zip(meaning(work, args), meaning(graph, args), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)
    return work


@pytest.mark.parametrize("name", GRAPHS)
def test_all_passes_keep_what_a_graph_means(name: str) -> None:
    graph = GRAPHS[name]()
    for _ in range(2):
        args = arguments(graph)
        work = prepared(graph)
        verify(work)
        for got, want in zip(meaning(work, args), meaning(graph, args), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
        graph = vjp(graph, [0], [0])


def test_a_carried_value_that_stays_becomes_a_constant() -> None:
    loop = counting(lambda x, w: (x * w, w), X, X)
    work = assert_same(prune, graph_of(lambda x, w: loop(x, w), [X, X]), np.ones(3), np.full(3, 2.0))
    node = only(work, "while_loop")
    assert (len(node.outputs), node.attrs["constants"]) == (2, 1)
    assert work.outputs[1] is work.inputs[1]


def test_what_nobody_uses_is_not_carried() -> None:
    loop = counting(lambda x, y: (x * 2.0, y + x), X, X)
    work = assert_same(prune, graph_of(lambda x, y: loop(x, y)[0], [X, X]), np.ones(3), np.ones(3))
    assert [str(v.type) for v in only(work, "while_loop").outputs] == ["int", "f64[3]"]


def test_what_a_test_reads_stays() -> None:
    test = body(lambda x, y: y.sum() < 10, X, X, name="test")
    loop = body(lambda x, y: (x * 2.0, y + 1.0), X, X)
    graph = graph_of(lambda x, y: control.run_while([x, y], test, loop)[0], [X, X])
    work = graph.copy()
    assert not prune(work)
    assert len(only(work, "while_loop").outputs) == 2


def test_unused_rows_and_operands_go() -> None:
    step = body(lambda h, a, b, w: (h + b, h * a, b), X, X, X, X)
    whole = graph_of(lambda h, a, b, w: control.run_scan([h], [a, b], [w], step, 2)[0], [X, f64(2, 3), f64(2, 3), X])
    args = [np.ones(3), np.ones((2, 3)), np.ones((2, 3)), np.ones(3)]
    node = only(assert_same(prune, whole, *args), "scan")
    assert (len(node.inputs), node.attrs["stacked"], len(node.outputs)) == (2, 1, 1)


def test_constants_are_made_inside() -> None:
    then, orelse = body(lambda x, k: x * k, X, X, name="then"), body(lambda x, k: x + k, X, X, name="orelse")
    graph = graph_of(
        lambda p, x: control.run_cond(p, [x, x * 0 + 3.0], then, orelse), [TensorType(dtypes.bool_, ()), X]
    )
    assert not sink_constants(graph.copy())
    constant = graph_of(
        lambda p, x: control.run_cond(p, [x, control.OPS["broadcast_to"](_three(), shape=(3,))], then, orelse),
        [TensorType(dtypes.bool_, ()), X],
    )  # fmt: skip
    work = assert_same(sink_constants, constant, np.asarray(True), np.ones(3))
    assert prune(work)
    assert len(only(work, "cond").inputs) == 2


def _three() -> Any:
    return control.OPS["constant"](value=3.0, dtype=dtypes.float64)


def test_what_every_turn_computes_alike_is_computed_before() -> None:
    loop = counting(lambda x, w: (x + (w * w).exp().flip(0), w), X, X)
    work = prepared(graph_of(lambda x, w: loop(x, w)[0], [X, X]))
    inside = {n.op.name for n in only(work, "while_loop").attrs["body"].nodes}
    assert "exp" not in inside
    assert "exp" in {n.op.name for n in work.nodes}


def test_what_may_fail_stays_inside() -> None:
    index = TensorType(dtypes.int64, (2,))
    loop = counting(lambda x, w, i: (x + w[i].sum().exp(), w, i), X, X, index)
    work = prepared(graph_of(lambda x, w, i: loop(x, w, i)[0], [X, X, index]))
    assert "take" in {n.op.name for n in only(work, "while_loop").attrs["body"].nodes}
    assert not hoist(work)


def test_arrays_leave_inner_graphs() -> None:
    table = np.arange(3.0)
    graph = graph_of(counting(lambda x: (x + _array(table),), X), [X])
    arrays = lift_literals(graph)
    verify(graph)
    assert [a.tolist() for a in arrays] == [[0, 1, 2]]
    assert meaning(graph, [np.zeros(3), *arrays])[0].tolist() == [0, 3, 6]


def _array(array: np.ndarray) -> Any:
    from jitorch.ops import dispatch

    return dispatch.current().from_array(array)


def test_checks_are_never_dropped_or_merged_and_can_be_stripped() -> None:
    def turn(x: Any) -> tuple[Any]:
        token = control.check(x.sum() < 9, control.begin(), code=1)
        control.check(x.sum() < 9, token, code=1)
        return (x,)

    graph = graph_of(lambda x: (counting(turn, X)(x), x * 2.0)[1], [X])
    for change in (simplify, fold, cse, prune, dce):
        change(graph)
    verify(graph)
    node = only(graph, "while_loop")
    assert [n.op.name for n in node.attrs["body"].nodes].count("check") == 2
    assert strip_checks(graph)
    dce(graph)
    assert all(n.op.name != "while_loop" for n in graph.nodes)
    assert isinstance(meaning(graph_of(lambda t: control.check(True, t), [EFFECT]), [Token()])[0], Token)


def test_bound_sizes_are_named_in_order() -> None:
    texts = []
    for _ in range(2):
        graph = vjp(GRAPHS["newton"](), [0], [0])
        name_bound_sizes(graph)
        texts.append(str(graph))
        assert [s.name for s in bound_sizes(graph)] == ["count0"]
    assert texts[0] == texts[1]
    assert not name_bound_sizes(graph)


@pytest.mark.parametrize("stacked", [False, True])
def test_what_is_carried_or_stacked_twice_is_one(stacked: bool) -> None:
    if stacked:
        step = body(lambda h, k, a: (h * 0.5 + a, k * 0.5 + a, h * a, h * a), X, X, X)
        loop = lambda h, a: control.run_scan([h, h], [a], [], step, 2)  # noqa: E731
        graph = graph_of(lambda h, a: loop(h, a), [X, f64(2, 3)])
        args = [np.ones(3), np.ones((2, 3))]
    else:
        loop = counting(lambda x, y: (x * 2.0 + 1.0, x * 2.0 + 1.0), X, X)
        graph = graph_of(lambda x: loop(x, x), [X])
        args = [np.ones(3)]
    work = graph.copy()
    decompose(work)
    for change in (simplify, fold, cse):
        change(work)
    work = assert_same(prune, work, *args)
    node = only(work, "scan" if stacked else "while_loop")
    if not stacked:
        assert [str(v.type) for v in node.outputs] == ["int", "f64[3]"]
    else:
        # What is carried twice is two values until they are known to go on alike.
        assert len(node.outputs) == 3


def test_equal_values_that_begin_differently_stay() -> None:
    loop = counting(lambda x, y: (x + 1.0, x + 1.0), X, X)
    graph = graph_of(lambda x, y: loop(x, y), [X, X])
    decompose(graph)
    cse(graph)
    before = len(only(graph, "while_loop").outputs)
    prune(graph)
    assert len(only(graph, "while_loop").outputs) == before
