from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from jitorch import dtypes
from jitorch.dims import Symbol
from jitorch.errors import CompilerBug, Location
from jitorch.ir import types
from jitorch.ir.graph import Graph, Node, map_dims
from jitorch.ir.literal import Literal
from jitorch.ir.verify import verify
from tests.ir import toys
from tests.ir.random_graphs import graphs, typed_graphs
from tests.ir.toys import apply, f32, sum_of_three


def with_value(value: Any) -> Graph:
    graph = Graph()
    graph.append(toys.anything, [], {"value": value, "other": None}, [])
    return graph


# Uses


def test_uses_are_kept_in_order() -> None:
    graph = sum_of_three()
    a, b = graph.inputs
    first, second = graph.nodes
    assert list(a.uses) == [(first, 0), (second, 1)]
    assert list(b.uses) == [(first, 1)]
    assert first.output.users == (second,)


def test_a_node_that_uses_a_value_twice_is_one_user() -> None:
    graph = Graph("main", [f32(2)])
    node = apply(graph, toys.add, *graph.inputs * 2).node
    assert list(graph.inputs[0].uses) == [(node, 0), (node, 1)]
    assert graph.inputs[0].users == (node,)


def test_set_input_moves_the_use() -> None:
    graph = sum_of_three()
    a, b = graph.inputs
    second = graph.nodes[1]
    second.set_input(1, b)
    assert (second, 1) in b.uses
    assert (second, 1) not in a.uses
    second.set_input(1, None)
    assert second.inputs[1] is None
    assert second.operands == (graph.nodes[0].output,)
    assert (second, 1) not in b.uses


def test_drop_gives_up_all_uses() -> None:
    graph = sum_of_three()
    for node in reversed(graph.nodes):
        node.drop()
    assert not any(v.uses for v in (*graph.inputs, graph.nodes[0].output))


def test_output_is_of_a_node_with_one() -> None:
    graph = Graph("main", [f32(4)])
    node = graph.append(toys.halves, graph.inputs, {}, [f32(2)] * 2)
    assert [v.index for v in node.outputs] == [0, 1]
    with pytest.raises(CompilerBug, match="halves has 2 outputs"):
        _ = node.output


# Changes


def test_replace_covers_uses_and_outputs() -> None:
    graph = sum_of_three()
    first, second = graph.nodes
    graph.outputs = [first.output, second.output]
    graph.replace(first.output, graph.inputs[1])
    assert second.inputs == (graph.inputs[1], graph.inputs[0])
    assert graph.outputs == [graph.inputs[1], second.output]
    assert not first.output.uses


def test_replace_keeps_the_type() -> None:
    graph = Graph("main", [f32(2), f32(3)])
    with pytest.raises(CompilerBug, match="a rewrite of input changed its type"):
        graph.replace(*graph.inputs)


def test_rebuild_drops_what_is_left_out() -> None:
    graph = sum_of_three()
    first, second = graph.nodes
    graph.outputs = [first.output]
    graph.rebuild([first])
    assert graph.nodes == [first]
    assert (second, 1) not in graph.inputs[0].uses
    verify(graph)


def test_a_graph_may_change_while_it_is_walked() -> None:
    graph = sum_of_three()
    for node in graph:
        graph.append(toys.biased, [node.output, None], {}, [node.output.type])
    assert len(graph) == 4


def test_paste() -> None:
    graph = Graph("main", [f32(2, 3)])
    inner = sum_of_three()
    mapping = dict(zip(inner.inputs, graph.inputs * 2))
    graph.paste(inner, mapping)
    graph.outputs = [mapping[v] for v in inner.outputs]
    assert [node.op for node in graph] == [toys.add, toys.add]
    assert graph.nodes[0].inputs == (graph.inputs[0], graph.inputs[0])
    assert graph.outputs[0].node is graph.nodes[1]
    verify(graph)
    verify(inner)


def test_copy_shares_nothing() -> None:
    graph = sum_of_three()
    graph.input_names = ["a", "b"]
    graph.nodes[0].loc = Location("f.py", 1)
    graph.writes = ((0, 0),)
    copied, mapping = graph.copy_with_values("other")
    assert str(copied) == str(graph).replace("@main", "@other")
    assert set(mapping) >= {*graph.inputs, *graph.outputs}
    assert not set(mapping) & set(mapping.values())
    copied.nodes[1].set_input(1, copied.inputs[1])
    assert verify(graph).nodes[1].inputs[1] is graph.inputs[0]


@given(graphs())
def test_copy_is_equal(graph: Graph) -> None:
    copied = graph.copy()
    assert copied == graph
    assert str(copied) == str(graph)


@given(typed_graphs())
def test_copy_is_well_formed(graph: Graph) -> None:
    verify(graph.copy())


# Equality


def test_equality_is_structural() -> None:
    assert sum_of_three() == sum_of_three()
    other = sum_of_three()
    other.nodes[1].set_input(1, other.inputs[1])
    assert other != sum_of_three()
    assert sum_of_three().copy("other") != sum_of_three()
    assert sum_of_three() != "graph"


def test_names_of_inputs_and_locations_do_not_matter() -> None:
    named = sum_of_three()
    named.input_names = ["a", "b"]
    named.nodes[0].loc = Location("f.py", 1)
    assert named == sum_of_three()


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (0, 0.0), (0.0, -0.0), (1.0, 1 + 0j), ((1, 2), (1, 2.0)), (complex(0, 0.0), complex(0, -0.0))],
)
def test_attributes_that_python_calls_equal_are_told_apart(one: object, other: object) -> None:
    assert one == other
    assert with_value(one) != with_value(other)
    assert with_value(one).nodes[0].key() != with_value(other).nodes[0].key()


@pytest.mark.parametrize("value", ["float('nan')", "(1, (2.0, None))", "'a'", "1e300"])
def test_attributes_with_one_text_are_equal(value: str) -> None:
    one, other = with_value(eval(value)), with_value(eval(value))
    assert one == other
    assert one.nodes[0].key() == other.nodes[0].key()


def test_key_tells_inputs_and_ops_apart() -> None:
    graph = Graph("main", [f32(2), f32(2)])
    a, b = graph.inputs
    keys: list[Node] = [v.node for v in (apply(graph, toys.add, a, b), apply(graph, toys.add, a, b)) if v.node]
    assert keys[0].key() == keys[1].key()
    assert hash(keys[0].key()) == hash(keys[1].key())
    others = [apply(graph, toys.add, b, a), apply(graph, toys.biased, a, b), apply(graph, toys.biased, a, None)]
    assert len({keys[0].key(), *(v.node.key() for v in others if v.node)}) == 4


# Reading


def test_symbols_are_those_of_the_inputs() -> None:
    t, b = Symbol("T").dim, Symbol("B", 1).dim
    graph = Graph("main", [f32(t, 2), f32(b * t)])
    assert [s.name for s in graph.symbols] == ["T", "B"]
    assert not graph.is_static
    assert sum_of_three().is_static


def test_map_dims() -> None:
    t = Symbol("T").dim
    graph = Graph("main", [f32(t, 2), types.INT])
    apply(graph, toys.add, graph.inputs[0], graph.inputs[0])
    map_dims(graph, lambda size: 5 if size == t else size)
    assert graph.inputs[0].type == graph.nodes[0].output.type == f32(5, 2)
    assert graph.inputs[1].type == types.INT


def test_subgraphs_and_literals_are_found_in_tuples() -> None:
    inner = with_value((Literal(np.zeros(2)), 1))
    graph = with_value((inner, (None, inner, Literal(np.ones(3)))))
    assert list(graph.subgraphs()) == [inner, inner]
    assert {v.type for v in graph.literals().values()} == {
        types.TensorType(dtypes.float64, (2,)),
        types.TensorType(dtypes.float64, (3,)),
    }
    assert all(digest == literal.digest for digest, literal in graph.literals().items())


def test_names_given_late_leave_the_earlier_inputs_unnamed() -> None:
    graph = Graph("main", [types.INT])
    graph.add_input(types.INT)
    graph.add_input(types.INT, "z")
    assert graph.input_names == ["", "", "z"]


def test_short_texts() -> None:
    graph = sum_of_three()
    assert repr(graph) == "<graph main: 2 inputs, 2 nodes>"
    assert repr(graph.nodes[0]) == "<add node>"
    assert repr(graph.inputs[1]) == "<input#1: f32[2, 3]>"
    assert repr(graph.outputs[0]) == "<add#0: f32[2, 3]>"
