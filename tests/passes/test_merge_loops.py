"""Loops that do the same turns become one."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch.builder import graph_of
from jitorch.ir.graph import Graph
from jitorch.ir.types import INT
from jitorch.ir.verify import verify
from jitorch.ops import control
from jitorch.passes.clean import cse
from jitorch.passes.merge_loops import merge_loops
from tests.control import body, f64, meaning

X, XS = f64(3), f64(4, 3)


def merged(graph: Graph, *args: Any) -> list[str]:
    """The ops that are left; results are as before."""
    verify(graph)
    want = meaning(graph, args)
    cse(graph)
    merge_loops(graph)
    verify(graph)
    for got, expected in zip(meaning(graph, args), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    return [node.op.name for node in graph.nodes]


def test_two_scans_with_other_outputs() -> None:
    first = body(lambda h, x: (h * x, h + x), X, X)
    second = body(lambda h, x: (h * x, h, h + x), X, X)

    def whole(h: Any, xs: Any) -> Any:
        a = control.run_scan([h], [xs], [], first, 4)
        return (*a, *control.run_scan([h], [xs], [], second, 4))

    graph = graph_of(whole, [X, XS])
    assert merged(graph, np.ones(3), np.full((4, 3), 1.5)) == ["scan"]
    assert len(graph.nodes[0].outputs) == 3


def test_scans_that_carry_something_else_stay_two() -> None:
    first, second = body(lambda h, x: h * x, X, X), body(lambda h, x: h + x, X, X)

    def whole(h: Any, xs: Any) -> Any:
        return (*control.run_scan([h], [xs], [], first, 4), *control.run_scan([h], [xs], [], second, 4))

    assert merged(graph_of(whole, [X, XS]), np.ones(3), np.ones((4, 3))) == ["scan", "scan"]


def test_a_loop_with_a_counter_and_the_loop_itself() -> None:
    test = body(lambda x: x.sum() < 20, X, name="test")
    turn = body(lambda x: x * 1.5, X)
    counted_test = body(lambda x, n: x.sum() < 20, X, INT, name="test")
    counted = body(lambda x, n: (x * 1.5, n + 1), X, INT)

    def whole(x: Any) -> Any:
        (a,) = control.run_while([x], test, turn)
        return (a, *control.run_while([x, 0], counted_test, counted))

    assert merged(graph_of(whole, [X]), np.ones(3)) == ["number", "while_loop"]


def test_loops_with_other_tests_stay_two() -> None:
    turn = body(lambda x: x * 1.5, X)
    tests = [body(lambda x, n=n: x.sum() < n, X, name="test") for n in (20, 30)]
    graph = graph_of(lambda x: tuple(control.run_while([x], t, turn)[0] for t in tests), [X])
    assert merged(graph, np.ones(3)) == ["while_loop", "while_loop"]
