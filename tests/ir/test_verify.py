from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given

from jitorch.dims import Symbol
from jitorch.errors import VerifyError
from jitorch.ir import types
from jitorch.ir.graph import Graph, Value
from jitorch.ir.verify import verify
from tests.ir import toys
from tests.ir.random_graphs import graphs, typed_graphs
from tests.ir.toys import f32, sum_of_three


def use_before_definition(graph: Graph) -> None:
    graph.nodes.reverse()


def operand_of_another_graph(graph: Graph) -> None:
    graph.nodes[0].set_input(0, sum_of_three().inputs[0])


def unknown_use(graph: Graph) -> None:
    graph.inputs[1].uses.clear()


def stale_use(graph: Graph) -> None:
    graph.inputs[1].uses[graph.nodes[1], 1] = None


def use_beyond_the_operands(graph: Graph) -> None:
    graph.inputs[1].uses[graph.nodes[1], 7] = None


def use_by_a_node_that_left(graph: Graph) -> None:
    graph.outputs = [graph.nodes[0].output]
    graph.nodes.pop()


def input_twice(graph: Graph) -> None:
    graph.inputs.append(graph.inputs[0])


def node_twice(graph: Graph) -> None:
    graph.nodes.append(graph.nodes[0])


def foreign_result(graph: Graph) -> None:
    graph.nodes[1].outputs[0].node = graph.nodes[0]


def foreign_output(graph: Graph) -> None:
    graph.outputs = [Value(f32(2, 3))]


def too_few_operands(graph: Graph) -> None:
    graph.append(toys.add, graph.inputs[:1], {}, [f32(2, 3)])


def too_many_operands(graph: Graph) -> None:
    graph.append(toys.add, [*graph.inputs, graph.inputs[0]], {}, [f32(2, 3)])


def missing_attribute(graph: Graph) -> None:
    graph.append(toys.concat, graph.inputs, {}, [f32(4, 3)])


def unknown_attribute(graph: Graph) -> None:
    graph.append(toys.concat, graph.inputs, {"axis": 0, "dim": 0}, [f32(4, 3)])


def attribute_without_text(graph: Graph) -> None:
    graph.append(toys.concat, graph.inputs, {"axis": (1, [0])}, [f32(4, 3)])


def wrong_result_type(graph: Graph) -> None:
    graph.append(toys.concat, graph.inputs, {"axis": 0}, [f32(2, 3)])


def wrong_number_of_results(graph: Graph) -> None:
    graph.append(toys.halves, graph.inputs[:1], {}, [f32(1, 3)])


def refused_operands(graph: Graph) -> None:
    graph.append(toys.add, [graph.inputs[0], graph.add_input(f32(4))], {}, [f32(2, 3)])


def reserved_size(graph: Graph) -> None:
    graph.add_input(f32(Symbol("nan").dim))


def two_sizes_of_one_name(graph: Graph) -> None:
    graph.add_input(f32(Symbol("T", 0).dim))
    graph.append(toys.anything, [], {"value": (Symbol("T", 1).dim,), "other": None}, [])


def write_of_another_type(graph: Graph) -> None:
    graph.writes = ((graph.add_input(f32(4)).index, 0),)


def write_of_no_input(graph: Graph) -> None:
    graph.writes = ((2, 0),)


def broken_inner_graph(graph: Graph) -> None:
    inner = sum_of_three()
    foreign_output(inner)
    graph.append(toys.anything, [], {"value": (1, inner), "other": None}, [])


def inner_graph_that_captures(graph: Graph) -> None:
    inner = Graph("body", [f32(2, 3)])
    inner.outputs = [toys.apply(inner, toys.add, inner.inputs[0], graph.inputs[0])]
    graph.append(toys.call, graph.inputs[:1], {"body": inner}, [f32(2, 3)])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (use_before_definition, "add: operand 0 is not defined before its use"),
        (operand_of_another_graph, "add: operand 0 is not defined before its use"),
        (unknown_use, "add: operand 1 does not know of this use"),
        (stale_use, "graph main: stale use of <input#1: f32[2, 3]> by add"),
        (use_beyond_the_operands, "graph main: stale use of <input#1: f32[2, 3]> by add"),
        (use_by_a_node_that_left, "by add"),
        (input_twice, "graph main: an input appears twice"),
        (node_twice, "add: is in the graph twice"),
        (foreign_result, "add: output 0 does not know its node"),
        (foreign_output, "graph main: returns a value that it does not define"),
        (too_few_operands, "add: wrong number of operands"),
        (too_many_operands, "add: wrong number of operands"),
        (missing_attribute, "concat: wrong attributes"),
        (unknown_attribute, "concat: wrong attributes"),
        (attribute_without_text, "concat: attribute axis is a tuple, which has no text"),
        (wrong_result_type, "concat: wrong result type"),
        (wrong_number_of_results, "halves: wrong result type"),
        (refused_operands, "add: its type rule refuses its operands: add: the operands differ"),
        (reserved_size, "graph main: a size cannot be called 'nan'"),
        (two_sizes_of_one_name, "graph main: T stands for two sizes"),
        (write_of_another_type, "graph main: output 0 cannot replace input 2"),
        (write_of_no_input, "graph main: no output 0 or no input 2 to replace by it"),
        (broken_inner_graph, "graph main: returns a value that it does not define"),
        (inner_graph_that_captures, "add: operand 1 is not defined before its use"),
    ],
)
def test_broken_rule(damage: Callable[[Graph], None], message: str) -> None:
    graph = verify(sum_of_three())
    damage(graph)
    with pytest.raises(VerifyError) as caught:
        verify(graph)
    assert message in caught.value.what


def test_error_shows_types_and_the_graph() -> None:
    graph = sum_of_three()
    wrong_result_type(graph)
    with pytest.raises(VerifyError) as caught:
        verify(graph)
    assert (caught.value.expected, caught.value.actual) == ("f32[4, 3]", "f32[2, 3]")
    assert str(graph) in str(caught.value)


def test_well_formed_graph_is_returned() -> None:
    graph = Graph("main", [types.EFFECT, f32(2)])
    token, x = graph.inputs
    body = Graph("body", [f32(2)])
    body.outputs = list(body.inputs)
    said = toys.apply(graph, toys.say, token, text="hello")
    called = graph.append(toys.call, [x], {"body": body}, [f32(2)])
    graph.outputs = [said, called.output]
    graph.writes = ((1, 1),)
    assert verify(graph) is graph


@given(typed_graphs())
def test_typed_graphs_are_well_formed(graph: Graph) -> None:
    verify(graph)


@given(graphs())
def test_graphs_of_any_types_are_well_formed(graph: Graph) -> None:
    verify(graph)
