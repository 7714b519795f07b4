"""The check of `jit.trace` names what differs first."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import compiler, nn
from jitorch.errors import TracerWarning, TracingCheckError
from jitorch.frontend.shown import check
from jitorch.frontend.tracing_check import first_difference
from jitorch.ir.graph import Graph
from jitorch.ops import OPS

X = jitorch.tensor([1.0, 3.0])
frozen = pytest.mark.filterwarnings("ignore::jitorch.errors.TracerWarning")


def largest(x: Any) -> Any:
    scale = max(x.tolist())
    return x * scale


@frozen
def test_a_frozen_constant_is_named_with_its_line() -> None:
    with pytest.raises(TracingCheckError) as caught:
        jitorch.jit.trace(largest, X, check_inputs=[X, X * 2], allow_frozen=True)
    text = str(caught.value)
    assert "the constant" in text and "expected: 3.0" in text and "actual:   6.0" in text
    assert "return x * scale" in text


def test_frozen_values_warn_with_their_line() -> None:
    with pytest.warns(TracerWarning, match="the trace keeps a value as it is now: tolist") as caught:
        traced = jitorch.jit.trace(largest, X, allow_frozen=True)
    assert [w.filename for w in caught] == [__file__]
    assert traced(X * 2).tolist() == [6.0, 18.0]


def other_op(x: Any, wants: Any) -> Any:
    if wants.tolist():
        return x.sin()
    return x.cos()


def other_shape(x: Any, wants: Any) -> Any:
    return x.reshape(1, 4) if wants.tolist() else x.reshape(2, 2)


def other_length(x: Any, wants: Any) -> Any:
    for _ in range(int(max(wants.reshape(1).tolist()))):
        x = x.sin()
    return x


def other_branch(x: Any, wants: Any) -> Any:
    scale = 2.0 if wants.tolist() else 3.0
    return x * scale if x.sum() > 0 else x


def other_operand(x: Any, wants: Any) -> Any:
    a, b = x.sin(), x.cos()
    return a - b if wants.tolist() else b - a


def other_result(x: Any, wants: Any) -> Any:
    a, b = x.sin(), x.cos()
    return (a, b) if wants.tolist() else (b, a)


@frozen
@pytest.mark.parametrize(
    ("function", "what"),
    [
        (other_op, "another op"),
        (other_shape, "shape of reshape_to"),
        (other_length, "the number of ops"),
        (other_branch, "the constant"),
        (other_operand, "the operands of sub"),
        (other_result, "the results"),
    ],
)
def test_the_first_difference_of_two_traces(function: Any, what: str) -> None:
    x = jitorch.ones(4)
    yes, no = (x, jitorch.tensor(1)), (x, jitorch.tensor(0))
    jitorch.jit.trace(function, yes, check_inputs=[yes], allow_frozen=True)
    with pytest.raises(TracingCheckError) as caught:
        jitorch.jit.trace(function, yes, check_inputs=[no], allow_frozen=True)
    assert caught.value.what == f"two traces of one function differ: {what}"


@frozen
def test_hidden_state_is_found_by_the_second_trace() -> None:
    with pytest.raises(TracingCheckError, match="two traces of one function differ: the constant"):
        jitorch.jit.trace(lambda x: x * random.random(), X, allow_frozen=True)


def test_a_result_that_differs_is_named_by_place_op_and_ulp(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = itertools.count()

    class Drifting(nn.Module):
        def forward(self, x: Any) -> Any:
            return {"same": x, "other": [x + 1, x * 2]}

    model = Drifting()
    plain = Drifting.__call__

    def drift(self: Any, x: Any) -> Any:
        found = plain(self, x)
        found["other"][1] += 1e-3 * next(counts) + 1e-3
        return found

    original = jitorch.frontend.tracing_check.disable

    class Disturbed(original):  # type: ignore[misc,valid-type]
        def __enter__(self) -> None:
            super().__enter__()
            monkeypatch.setattr(Drifting, "__call__", drift)

    monkeypatch.setattr("jitorch.frontend.tracing_check.disable", Disturbed)
    with pytest.raises(TracingCheckError) as caught:
        jitorch.jit.trace(model, X)
    assert " ulp in the result['other'][1][" in str(caught.value)
    assert "made by mul" in str(caught.value)
    assert 'return {"same": x, "other": [x + 1, x * 2]}' in str(caught.value)


def test_a_wrong_program_is_told_from_a_wrong_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_graph = compiler.compile_graph

    def broken(graph: Any, *args: Any, **kwargs: Any) -> Any:
        compiled = compile_graph(graph, *args, **kwargs)
        run = compiled.run
        monkeypatch.setattr(compiled, "run", lambda inputs: [r * np.float32(1.5) for r in run(inputs)])
        return compiled

    monkeypatch.setattr("jitorch.frontend.eager.differentiable.compile_graph", broken)
    monkeypatch.setattr(check, "compile_graph", broken)
    weight = jitorch.ones(2)
    with pytest.raises(TracingCheckError, match="the compiled program is wrong: mul at"):
        jitorch.jit.trace(lambda x: x * weight, X)


def test_the_check_leaves_everything_as_it_was() -> None:
    jitorch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    x = jitorch.tensor([[1.0, 2.0], [3.0, 5.0]])
    before = {n: t.clone() for n, t in model.state_dict().items()}
    state = jitorch.get_rng_state()
    jitorch.jit.trace(model, x, check_inputs=[x + 1])
    assert all((before[n] == t).all() for n, t in model.state_dict().items())
    assert (jitorch.get_rng_state() == state).all()


def test_writes_to_arguments_are_checked_on_copies() -> None:
    x = jitorch.ones(2)
    jitorch.jit.trace(lambda x: x.add_(1) * 2, x)
    assert x.tolist() == [1.0, 1.0]


def test_equal_graphs_do_not_differ() -> None:
    text = "graph @g(%x: f32[2]) { %0: f32[2] = sin(%x) return %0 }"
    assert first_difference(Graph.parse(text, OPS), Graph.parse(text, OPS)) is None


def test_the_check_can_be_left_out() -> None:
    with pytest.warns(TracerWarning):
        traced = jitorch.jit.trace(lambda x: x * random.random(), X, allow_frozen=True, check_trace=False)
    assert traced(X).tolist() == traced(X).tolist()
