"""Graphs of one moment: arguments first, then the tensors met."""

from __future__ import annotations

import time
import zlib
from typing import Any, NamedTuple

import numpy as np
import pytest

import jitorch
from jitorch import dims, dtypes
from jitorch.dims import Facts
from jitorch.errors import ShapeError, StagingError
from jitorch.frontend.trace.capture import Slot, capture, leaves, replaced, without_gradients
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.types import TensorType
from jitorch.ir.verify import verify
from jitorch.passes.decompose import expand


def f32(*shape: Any) -> TensorType:
    return TensorType(dtypes.float32, shape)


def results(graph: Graph, *inputs: Any) -> list[Any]:
    """The outputs of a verified graph as lists."""
    verify(graph)
    return [np.asarray(x).tolist() for x in interpret(graph, [np.float32(x) for x in inputs], expand)]


X = jitorch.tensor([1.0, 2.0])


def test_stored_tensors_become_inputs_after_the_arguments() -> None:
    weight = jitorch.tensor([2.0, 3.0])
    found = capture(lambda x, y: (y * weight + weight, x), (X, X), {})
    assert [t is weight for t in found.tensors] == [True]
    assert [v.type for v in found.graph.inputs] == [f32(2), f32(2), f32(2)]
    assert results(found.graph, [5, 5], [1, 1], [2, 3]) == [[4.0, 6.0], [5.0, 5.0]]
    assert found.result == (Slot(0), Slot(1))


def test_views_of_one_tensor_share_its_input() -> None:
    base = jitorch.tensor([1.0, 2.0, 3.0, 4.0])
    found = capture(lambda x: x + base[:2] + base[2:], (X,), {})
    assert [t is base for t in found.tensors] == [True]
    assert results(found.graph, [1, 1], [1, 2, 3, 4]) == [[5.0, 7.0]]


def test_writes_are_known_and_happen_nowhere() -> None:
    state = jitorch.zeros(2)

    def function(x: Any) -> Any:
        state.add_(x)
        return state * 2, state, x

    found = capture(function, (X,), {})
    assert found.graph.writes == ((1, 3),)
    assert state.tolist() == [0.0, 0.0]
    assert results(found.graph, [1, 2], [0, 0]) == [[2.0, 4.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]


def test_what_is_returned_may_be_an_input_or_a_view_or_nothing_new() -> None:
    stored, row = jitorch.ones(2, 2), jitorch.ones(2, 2)[1]

    def function(x: Any) -> Any:
        x.t_()
        return {"view": x[0], "turned": x, "stored": stored.mT, "row": row, "plain": (1, "a", None, dtypes.int8)}

    x = jitorch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    found = capture(function, (x,), {})
    assert x.shape == (2, 3)
    assert found.result == {
        "view": Slot(0), "turned": Slot(1), "stored": Slot(2), "row": Slot(3), "plain": (1, "a", None, dtypes.int8),
    }  # fmt: skip
    inputs = [x.tolist(), *(t.tolist() for t in found.tensors)]
    assert results(found.graph, *inputs)[:2] == [[1.0, 4.0], [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]]


def test_sizes_may_be_symbols_and_facts_are_kept() -> None:
    types = [f32(dims.symbol("n", 1, None, 2))]
    found = capture(lambda x: x[:2] + x.shape[0], (X,), {}, types)
    assert [str(fact) for fact in found.graph.facts] == ["2 <= n"]
    assert [str(v.type) for v in found.graph.inputs] == ["f32[n]"]


def test_facts_are_known_where_tracing_fails() -> None:
    facts = Facts()
    types = [f32(dims.symbol("n", 1, None, 2)), f32(dims.symbol("m", 1, None, 2))]
    with pytest.raises(ShapeError, match="inner dimensions"):
        capture(lambda x, y: (x + y) @ jitorch.ones(3), (X, X), {}, types, facts=facts)
    assert "m == n" in " ".join(map(str, facts.guards)) or "n == m" in " ".join(map(str, facts.guards))


def test_numbers_from_outside_are_constants() -> None:
    scale = {"by": 2.5}
    found = capture(lambda x, shift: x * scale["by"] + shift, (X, 1.5), {})
    assert results(found.graph, [1, 2]) == [[4.0, 6.5]]


def test_branches_and_loops_are_part_of_the_graph() -> None:
    def function(x: Any) -> Any:
        n = 0
        while x.sum() < 10:
            x, n = x * 2, n + 1
        return (x if n > 1 else -x), n

    found = capture(function, (X,), {})
    assert {"while_loop", "cond"} <= {node.op.name for node in found.graph}
    assert results(found.graph, [1, 2]) == [[4.0, 8.0], 2]
    assert results(found.graph, [3, 4]) == [[-6.0, -8.0], 1]
    assert len(found.notes) == 2


def test_gradients_do_not_flow_through_no_grad() -> None:
    def function(x: Any) -> Any:
        with jitorch.no_grad():
            y = x * 2
        return y * x

    graph = capture(function, (X,), {}).graph
    (product,) = [n for n in graph if n.outputs[0] in graph.outputs]
    assert [v.node.op.name for v in product.operands if v.node is not None] == ["detach"]
    plain = without_gradients(lambda: capture(function, (X,), {}))
    assert "detach" not in [n.op.name for n in plain.graph]


@pytest.mark.parametrize(
    ("function", "reason", "part"),
    [
        (lambda x: x * max(x.tolist()), "data", "tolist() needs a value"),
        (lambda x: x * time.time(), "effect", "the clock differs"),
        (lambda x: jitorch.tensor(np.asarray(x)), "data", "numpy.asarray needs a value"),
        (lambda x: print(x), "side-effect", "print() or logging"),
        (lambda x: NOTES.append(x), "side-effect", "a write to a Python object"),
        (lambda x: x * zlib.crc32(b"a"), "unknown-call", "zlib.crc32, of which nothing is known"),
        (lambda x: object(), "escape", "a object made inside"),
        (lambda x: {1, 2}, "result", "a trace returns a set"),
    ],
    ids=["tolist", "clock", "numpy", "print", "append", "call", "object", "result"],
)
def test_what_no_graph_can_hold(function: Any, reason: str, part: str) -> None:
    with pytest.raises(StagingError) as caught:
        capture(function, (X,), {})
    assert caught.value.reason == reason
    assert part in str(caught.value)
    assert caught.value.where is not None and caught.value.where.file == __file__
    assert NOTES == []


NOTES: list[Any] = []


def test_values_may_be_frozen() -> None:
    def function(x: Any) -> Any:
        NOTES.append(x)
        return x * max(x.tolist()) + float(np.asarray(x * 2).sum())

    found = capture(function, (X,), {}, frozen=True)
    assert results(found.graph, [1, 1]) == [[8.0, 8.0]]
    assert [f.what.partition(" ")[0] for f in found.frozen] == ["a", "tolist()", "a"]
    assert all(f.where is not None and f.where.file == __file__ for f in found.frozen)
    assert NOTES == []


def test_nothing_is_frozen_in_a_branch() -> None:
    def function(x: Any) -> Any:
        return x * max(x.tolist()) if x.sum() > 0 else x

    with pytest.raises(StagingError, match="tolist"):
        capture(function, (X,), {}, frozen=True)


def test_writes_to_objects_may_be_dropped() -> None:
    held = {"x": X}

    def function(x: Any) -> Any:
        held["x"] = x * 2
        held["y"] = x
        return held["x"]

    found = capture(function, (X,), {}, drops_writes=True)
    assert [t is X for t in found.dropped] == [True]
    assert held["x"] is X and "y" not in held
    assert results(found.graph, [1, 2]) == [[2.0, 4.0]]


class Pair(NamedTuple):
    first: Any
    second: Any


def test_leaves_are_replaced_in_whatever_holds_them() -> None:
    tree = {"a": [1, (2, Pair(3, None))]}
    assert list(leaves(tree)) == [1, 2, 3, None]
    assert replaced(tree, str) == {"a": ["1", ("2", Pair("3", "None"))]}


def test_jitted_functions_are_captured_as_what_they_wrap() -> None:
    inner = jitorch.jit(lambda x: x * 2)
    assert results(capture(lambda x: inner(x) + 1, (X,), {}).graph, [1, 2]) == [[3.0, 5.0]]
