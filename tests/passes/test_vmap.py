"""Graphs on many lanes: every op, with each choice of what is batched, against a loop over the lanes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jitorch.builder import graph_of
from jitorch.dtypes import bool_, int64
from jitorch.errors import CheckFailed, UnsupportedError, VmapError
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.types import EFFECT, EffectType, ScalarType, TensorType
from jitorch.ir.verify import verify
from jitorch.ops import OPS, control
from jitorch.passes.grad import vjp
from jitorch.passes.jvp import jvp
from jitorch.passes.vmap import vmap
from tests.control import branch, counted, f64, newton, recurrence
from tests.ops.test_generated import CASES, DIFFERENTIATED, bound, expand, traced
from tests.passes.test_jvp import floats

LANES = 3


def lanes_of(x: Any) -> Any:
    """Three different operands like ``x``: floats scaled, integers and bools in another order."""
    array = np.asarray(x)
    if array.dtype.kind in "fc":
        return np.stack([array, array * 0.9, array * 0.8]).astype(array.dtype)
    others = [np.roll(array, i, 0) if array.ndim else array for i in range(LANES)]
    return np.stack(others)


def row_of(x: Any, lane: int, type_: Any) -> Any:
    return x[lane].item() if isinstance(type_, ScalarType) else x[lane]


def check(graph: Graph, inputs: list[Any], batched: list[bool], rtol: float = 1e-11, atol: float = 1e-12) -> Graph:
    """``graph`` for all lanes at once against each lane by itself."""
    whole = vmap(graph, batched, LANES)
    verify(whole)
    given = [lanes_of(x) if flag else x for x, flag in zip(inputs, batched)]
    found = interpret(whole, given, expand)
    types = [v.type for v in graph.inputs]
    for lane in range(LANES):
        rows = [row_of(x, lane, t) if flag else x for x, flag, t in zip(given, batched, types)]
        for all_lanes, one, value in zip(found, interpret(graph, rows, expand), graph.outputs):
            if not isinstance(value.type, EffectType):
                np.testing.assert_allclose(all_lanes[lane], one, rtol, atol)
    return whole


def choices(count: int) -> list[list[bool]]:
    """All operands batched, and each alone."""
    alone = [[i == j for j in range(count)] for i in range(count)] if count > 1 else []
    return [[True] * count, *alone]


@pytest.mark.parametrize(("op", "sample"), [case for case in CASES if case.values[0] is not OPS["positions"]])
def test_every_op_against_a_loop(op: Any, sample: Any) -> None:
    operands, attrs = bound(op, sample)
    graph, arrays = traced(op, operands, attrs)
    for batched in choices(len(arrays)) if arrays else []:
        check(graph, arrays, batched)


@pytest.mark.parametrize(("op", "sample"), DIFFERENTIATED)
def test_gradients_of_lanes_are_those_of_each(op: Any, sample: Any) -> None:
    operands, attrs = bound(op, sample)
    graph, arrays = traced(op, operands, attrs)
    wrt, outputs = floats(graph.inputs), floats(graph.outputs)
    if not wrt or not outputs:
        return
    rng = np.random.default_rng(1)
    whole = vmap(graph, [True] * len(arrays), LANES)
    cotangents = [rng.normal(size=whole.outputs[o].type.shape) for o in outputs]
    given = [lanes_of(x) for x in arrays]
    found = interpret(vjp(whole, wrt, outputs), [*given, *cotangents], expand)
    one = vjp(graph, wrt, outputs)
    for lane in range(LANES):
        for all_lanes, expected in zip(found, interpret(one, [x[lane] for x in [*given, *cotangents]], expand)):
            np.testing.assert_allclose(all_lanes[lane], expected, 1e-8, 1e-10)
    check(one, [*arrays, *(c[0] for c in cotangents)], [True] * (len(arrays) + len(outputs)), 1e-8, 1e-10)


def test_positions_differ_from_lane_to_lane() -> None:
    graph = graph_of(lambda m, r: OPS["positions"](m, r), [TensorType(bool_, (3,)), TensorType(int64, (2,))])
    with pytest.raises(VmapError, match="differs from lane to lane"):
        vmap(graph, [True, False], LANES)


SCANNED = frozenset(
    "strided_view ctc_losses ctc_slopes random_bits random_advance random_uniform random_normal random_integers "
    "argsort_rows".split()
)
"""Ops that are computed lane by lane."""


def test_the_others_are_not_computed_lane_by_lane() -> None:
    missing = [
        name
        for name, op in OPS.items()
        if op.kind == "primitive"
        and op.operands
        and "batch" not in op.rules
        and op.lowering not in ("control", "effect")
    ]
    assert set(missing) <= SCANNED | {"number_of", "cast"}


@pytest.mark.parametrize("make", [recurrence, counted, newton, branch])
@pytest.mark.parametrize("only_first", [False, True])
def test_control_flow(make: Any, only_first: bool) -> None:
    graph = make()
    rng = np.random.default_rng(0)
    inputs = [
        np.array(4) if isinstance(v.type, ScalarType) else rng.uniform(0.5, 1.5, v.type.shape) for v in graph.inputs
    ]
    batched = [i == 0 if only_first else True for i in range(len(inputs))]
    check(graph, [x if f or x.dtype.kind == "f" else int(x) for x, f in zip(inputs, batched)], batched)


@pytest.mark.parametrize("make", [recurrence, newton, branch])
def test_derivatives_of_control_flow(make: Any) -> None:
    graph = make()
    rng = np.random.default_rng(0)
    wrt, outputs = range(len(graph.inputs)), range(len(graph.outputs))
    inputs = [rng.uniform(0.5, 1.5, v.type.shape) for v in graph.inputs]
    forward = jvp(graph, wrt, outputs)
    check(forward, [*inputs, *(rng.normal(size=x.shape) for x in inputs)], [True] * 2 * len(inputs), 1e-9, 1e-9)
    both = vmap(graph, [True] * len(inputs), LANES)
    reverse = vjp(both, wrt, outputs)
    given = [lanes_of(x) for x in inputs]
    cotangents = [rng.normal(size=(LANES, *v.type.shape)) for v in graph.outputs]
    found = interpret(reverse, [*given, *cotangents], expand)
    for lane in range(LANES):
        one = interpret(vjp(graph, wrt, outputs), [x[lane] for x in [*given, *cotangents]], expand)
        for a, b in zip(found, one):
            np.testing.assert_allclose(a[lane], b, 1e-9, 1e-9)


def looping() -> Graph:
    """A loop with as many turns as its operand says."""
    types = [f64(2), f64(2)]
    test = graph_of(lambda x, w: x.sum() < 20, types, "test")
    turn = graph_of(lambda x, w: x * w.exp() + 0.1, types, "turn")
    return graph_of(lambda x, w: control.run_while([x, w], test, turn, 1)[0], types, "looping")


def test_the_gradient_of_a_loop_with_another_number_of_turns_in_each_lane() -> None:
    graph = looping()
    reverse = vjp(graph, [0, 1], [0])
    inputs = [np.array([2.0, 0.5]), np.array([0.7, 0.6]), np.array([1.0, -2.0])]
    check(reverse, inputs, [True, True, True])
    check(reverse, inputs, [True, False, False])
    second = vjp(reverse, [0, 1], [0, 1])
    check(second, [*inputs, np.array([0.3, 0.4]), np.array([-1.0, 2.0])], [True, True, False, False, False], 1e-9, 1e-9)


def test_the_gradient_of_a_loop_that_needs_no_values() -> None:
    test = graph_of(lambda x: x.sum() < 10, [f64(2)], "test")
    turn = graph_of(lambda x: x * 2.0, [f64(2)], "turn")
    graph = graph_of(lambda x: control.run_while([x], test, turn)[0], [f64(2)], "main")
    for batched in ([True, False], [True, True]):
        check(vjp(graph, [0], [0]), [np.array([3.0, 1.5]), np.array([1.0, 2.0])], batched)


def test_a_branch_of_each_lanes_own_is_a_selection() -> None:
    whole = vmap(branch(), [True, True], LANES)
    assert "cond" not in [n.op.name for n in whole.nodes]
    shared = vmap(looping(), [False, True], LANES)
    assert "while_loop" in [n.op.name for n in shared.nodes]


def test_a_predicate_of_all_stays_a_branch() -> None:
    types = [f64(), f64(2)]
    then = graph_of(lambda x: x * 2.0, types[1:], "then")
    orelse = graph_of(lambda x: x + 1.0, types[1:], "orelse")
    graph = graph_of(lambda p, x: control.run_cond(p > 0, [x], then, orelse)[0], types, "main")
    assert "cond" in [n.op.name for n in check(graph, [np.array(1.0), np.ones(2)], [False, True]).nodes]


def test_checks_hold_in_every_lane_that_gets_there() -> None:
    def guarded(x: Any) -> Any:
        token = OPS["check"](x.sum() > 0, OPS["begin"]())
        return x, token

    graph = graph_of(guarded, [f64(2)], "main")
    whole = vmap(graph, [True], LANES)
    interpret(whole, [np.ones((3, 2))], expand)
    with pytest.raises(CheckFailed):
        interpret(whole, [np.array([[1.0, 1.0], [1.0, 1.0], [-1.0, 0.0]])], expand)


def test_a_check_in_a_branch_counts_for_its_lanes_only() -> None:
    def checked(x: Any, token: Any) -> Any:
        return x * 2.0, OPS["check"](x.sum() < 5, token)

    types = [f64(2), EFFECT]
    then = graph_of(checked, types, "then")
    orelse = graph_of(lambda x, token: (x, token), types, "orelse")
    graph = graph_of(lambda x: control.run_cond(x.sum() > 0, [x, OPS["begin"]()], then, orelse), [f64(2)], "main")
    whole = vmap(graph, [True], 2)
    interpret(whole, [np.array([[1.0, 1.0], [-9.0, -9.0]])], expand)
    with pytest.raises(CheckFailed):
        interpret(whole, [np.array([[1.0, 9.0], [-9.0, -9.0]])], expand)


def test_a_check_in_a_loop_of_some_lanes_is_refused() -> None:
    types = [f64(), EFFECT]
    test = graph_of(lambda x, token: x < 3.0, types, "test")
    body = graph_of(lambda x, token: (x + 1.0, OPS["check"](x < 9.0, token)), types, "body")
    loop = graph_of(lambda x, token: control.run_while([x, token], test, body), types, "loop")
    other = graph_of(lambda x, token: (x, token), types, "other")
    graph = graph_of(lambda x: control.run_cond(x > 0, [x, OPS["begin"]()], loop, other), [f64()], "main")
    with pytest.raises(UnsupportedError, match="only some lanes reach"):
        vmap(graph, [True], LANES)


def test_random_values_need_to_be_asked_for() -> None:
    graph = graph_of(lambda s, x: OPS["random_bits"](s, size=2) + x, [traced_state(), f64(2)], "main")
    with pytest.raises(VmapError, match="random_bits draws random values"):
        vmap(graph, [False, True], LANES)
    state, x = np.array([7, 3]), np.zeros((3, 2))
    (same,) = interpret(vmap(graph, [False, True], LANES, "same"), [state, x], expand)
    assert (same == same[0]).all()
    (different,) = interpret(vmap(graph, [False, True], LANES, "different"), [state, x], expand)
    assert len(np.unique(different)) == 6


def traced_state() -> Any:
    return OPS["random_advance"].rules["type"](TensorType(int64, (2,)), count=1)


def test_a_numerically_careful_gradient_survives() -> None:
    graph = graph_of(lambda x: x.logsumexp(0), [f64(3)], "main")
    reverse = vjp(vmap(graph, [True], LANES), [0], [0])
    x = np.full((3, 3), -np.inf)
    x[:, 0] = 1000.0
    (found,) = interpret(reverse, [x, np.ones(3)], expand)
    np.testing.assert_array_equal(found, np.tile([1.0, 0.0, 0.0], (3, 1)))
