"""Control flow as one native function: the same as the graph means, gradients included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jitorch
from jitorch import dims, dtypes
from jitorch.builder import graph_of
from jitorch.compiler import compile_graph
from jitorch.errors import CheckFailed
from jitorch.ir import program as host
from jitorch.ir.graph import Graph, map_dims
from jitorch.ir.types import INT, TensorType
from jitorch.lower import program as lowered
from jitorch.ops import control
from jitorch.passes.grad import vjp
from tests.control import GRAPHS, arguments, assert_runs_alike, body, compiled, f64, meaning, recurrence, smooth


@pytest.mark.parametrize("name", GRAPHS)
def test_native_code_and_its_gradients(name: str) -> None:
    graph = GRAPHS[name]()
    for _ in range(3):
        assert_runs_alike(graph, arguments(graph))
        graph = vjp(graph, smooth(graph.inputs), smooth(graph.outputs))


@pytest.mark.parametrize("turns", [0, 1, 5])
def test_turns_that_are_known_at_run_time_only(turns: int) -> None:
    graph = GRAPHS["counted"]()
    derivative = vjp(graph, [0], [0])
    program, gradient = compiled(graph), compiled(derivative)
    x, g = np.linspace(0.1, 0.5, 5), np.linspace(1, 2, 5)
    last, count = program.run([x, turns])
    assert count == max(turns, 1)
    np.testing.assert_allclose(last, meaning(graph, [x, turns])[0])
    np.testing.assert_allclose(gradient.run([x, turns, g])[0], meaning(derivative, [x, turns, g])[0])


def test_symbolic_lengths_and_rows() -> None:
    steps, width = dims.symbol("T", low=0), dims.symbol("N", low=0)
    row = f64(width)
    turn = body(lambda h, x: (lambda new: (new, new * x))((h + x).sin()), row, row)
    graph = graph_of(
        lambda h, xs: control.run_scan([h], [xs], [], turn, steps), [row, f64(steps, width)], "symbolic"
    )  # fmt: skip
    derivative = vjp(graph, [0, 1], [0, 1])
    program, gradient = compiled(graph), compiled(derivative)
    rng = np.random.default_rng(0)
    for length, n in ((0, 4), (3, 4), (5, 1), (2, 0)):
        h, xs, g, gs = (rng.normal(size=s) for s in ((n,), (length, n), (n,), (length, n)))
        concrete = _with_sizes(graph, {"T": length, "N": n})
        for got, want in zip(program.run([h, xs]), meaning(concrete, [h, xs]), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12)
        concrete = _with_sizes(derivative, {"T": length, "N": n})
        for got, want in zip(gradient.run([h, xs, g, gs]), meaning(concrete, [h, xs, g, gs]), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def _with_sizes(graph: Graph, sizes: dict[str, int]) -> Graph:
    new = graph.copy()
    map_dims(new, lambda d: dims.substitute(d, sizes))
    return new


def test_values_that_change_places() -> None:
    types = (INT, f64(3), f64(3))
    test = body(lambda i, a, b: i < 3, *types, name="test")
    turn = body(lambda i, a, b: (i + 1, b, a + b), *types)
    graph = graph_of(lambda a, b: control.run_while([0, a, b], test, turn), [f64(3), f64(3)], "fibonacci")
    made = assert_runs_alike(graph, [np.ones(3), np.ones(3)])
    assert made.run([np.ones(3), np.ones(3)])[2].tolist() == [5, 5, 5]


def test_loops_in_branches_in_loops() -> None:
    inner_test = body(lambda j, x: j < 2, INT, f64(4), name="test")
    inner = body(lambda j, x: (j + 1, x.sin() + j), INT, f64(4))
    then = body(lambda i, x: control.run_while([i, x], inner_test, inner)[1], INT, f64(4), name="then")
    orelse = body(lambda i, x: x * 0.5, INT, f64(4), name="orelse")

    def turn(i: Any, x: Any) -> Any:
        return i + 1, control.run_cond(x.mean() > 0.4, [i, x], then, orelse)[0]

    test = body(lambda i, x: i < 5, INT, f64(4), name="test")
    graph = graph_of(lambda x: control.run_while([0, x], test, body(turn, INT, f64(4)))[1], [f64(4)], "nested")
    for start in (-1.0, 0.2, 2.0):
        assert_runs_alike(graph, [np.full(4, start)])
        derivative = vjp(graph, [0], [0])
        assert_runs_alike(derivative, [np.full(4, start), np.linspace(1, 2, 4)])


def _checked() -> Graph:
    """Adds 1 to its first input in place, if all of the second are positive."""

    def whole(w: Any, x: Any) -> Any:
        new = w + 1.0
        control.check((x > 0).all(), control.begin(), code=5)
        return new

    graph = graph_of(whole, [f64(3), f64(3)], "checked")
    graph.writes = ((0, 0),)
    return graph


def test_nothing_is_written_when_a_check_fails() -> None:
    program = compile_graph(_checked(), "cpu")
    w = np.zeros(3)
    program.run([w, np.ones(3)])
    assert w.tolist() == [1, 1, 1]
    with pytest.raises(CheckFailed) as caught:
        program.run([w, np.asarray([1.0, -1.0, 1.0])])
    assert caught.value.code == 5
    assert w.tolist() == [1, 1, 1]


def test_a_check_in_a_loop_stops_it() -> None:
    types = (INT, f64(3))
    test = body(lambda i, x: i < 10, *types, name="test")

    def turn(i: Any, x: Any) -> Any:
        control.check(x.max() < 100, control.begin(), code=2)
        return i + 1, x * 2.0

    graph = graph_of(lambda x: control.run_while([0, x], test, body(turn, *types))[1], [f64(3)], "doubling")
    program = compiled(graph)
    np.testing.assert_allclose(program.run([np.full(3, 0.01)])[0], 10.24)
    with pytest.raises(CheckFailed):
        program.run([np.full(3, 1.0)])


def test_one_thread_and_two_give_the_same_bits() -> None:
    row = TensorType(dtypes.float32, (64, 256))
    square = TensorType(dtypes.float32, (256, 256))
    turn = body(lambda h, x, w: (h @ w + x).tanh(), row, row, square)
    types = [row, TensorType(dtypes.float32, (8, 64, 256)), square]
    graph = graph_of(lambda h, xs, w: control.run_scan([h], [xs], [w], turn, 8)[0], types, "wide")
    program = compiled(vjp(graph, [0, 1, 2], [0]))
    rng = np.random.default_rng(0)
    args = [rng.normal(size=t.shape).astype(np.float32) * 0.1 for t in (*types, row)]
    before = jitorch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            jitorch.set_num_threads(threads)
            results.append(program.run(args))
    finally:
        jitorch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


_STEPS = {
    "add": lambda h, x, w: h + x, "mul": lambda h, x, w: h * w, "sin": lambda h, x, w: (h + w).sin(),
    "flip": lambda h, x, w: h.flip(0) * x, "sum": lambda h, x, w: h - h.sum() * 0.1, "same": lambda h, x, w: h,
    "constant": lambda h, x, w: (w * w).exp() + x, "softmax": lambda h, x, w: (h * x).softmax(0),
}  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(_STEPS)), min_size=1, max_size=4),
    st.lists(st.sampled_from(sorted(_STEPS)), min_size=0, max_size=2),
    st.sampled_from(["carried", "other carried", "neither"]), st.integers(0, 4), st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_small_scans(first: list[str], second: list[str], stacked: str, length: int, reverse: bool, seed: int) -> None:
    """Two carried values, each a chain of steps that may read both, and one output a step, which may be one of them."""
    row = f64(4)

    def step(a: Any, b: Any, x: Any, w: Any) -> Any:
        new, other = a, b
        for name in first:
            new = _STEPS[name](new, x, w)
        for name in second:
            other = _STEPS[name](other, new, w)
        return other, new, {"carried": other, "other carried": new, "neither": new * other}[stacked]

    turn = body(step, row, row, row, row)

    def whole(a: Any, b: Any, xs: Any, w: Any) -> Any:
        return control.run_scan([a, b], [xs], [w], turn, length, reverse)

    graph = graph_of(whole, [row, row, f64(length, 4), row], "random")
    assert_runs_alike(graph, arguments(graph, seed))
    derivative = vjp(graph, range(4), range(3))
    assert_runs_alike(derivative, arguments(derivative, seed))


def test_a_recurrence_makes_no_kernel_a_step() -> None:
    few, many = (compile_graph(recurrence(n), "cpu").steps[0].artifact.manifest["kernels"] for n in (2, 200))
    assert few == many


@pytest.mark.parametrize("length", [7, dims.symbol("T", low=0)], ids=str)
def test_what_is_carried_and_stacked_is_not_copied_in_a_turn(length: Any) -> None:
    turn = body(lambda h, x: (lambda new: (new, new))((h.flip(0) + x).sin()), f64(4), f64(4))
    graph = graph_of(lambda h, xs: control.run_scan([h], [xs], [], turn, length), [f64(4), f64(length, 4)], "kept")
    (loop,) = (s for s in host.walk(lowered(graph).body) if isinstance(s, host.While))
    assert not [s for s in host.walk([loop]) if isinstance(s, host.Copy)]
    program = compile_graph(graph, "cpu")
    for turns in (7,) if isinstance(length, int) else (0, 1, 5):
        h, xs = np.linspace(0, 1, 4), np.random.default_rng(0).normal(size=(turns, 4))
        last, rows = program.run([h, xs])
        np.testing.assert_array_equal(last, rows[-1] if turns else h)
        for row, before, x in zip(rows, [h, *rows][:-1], xs, strict=True):
            np.testing.assert_allclose(row, np.sin(before[::-1] + x), rtol=1e-12)
