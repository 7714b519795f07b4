from __future__ import annotations

import enum

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.dims import Symbol
from jitorch.errors import CompilerBug, Location
from jitorch.ir import types
from jitorch.ir.graph import Graph
from jitorch.ir.literal import Literal
from jitorch.ir.printer import INLINE_LIMIT, attribute, is_symbol_name, print_graph
from tests.ir import toys
from tests.ir.toys import f32

T = Symbol("T", 0, 64).dim


class Color(enum.IntEnum):
    RED = 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (-3, "-3"),
        (Color.RED, "3"),
        (1.0, "1.0"),
        (np.float64(0.1), "0.1"),
        (-0.0, "-0.0"),
        (float("-inf"), "-inf"),
        (float("nan"), "nan"),
        (complex(0.0, -0.0), "complex(0.0, -0.0)"),
        ('a"\n', '"a\\"\\n"'),
        (dtypes.bfloat16, "bf16"),
        (4 * T + 1, "4*T + 1"),
        ((), "()"),
        ((1,), "(1,)"),
        ((1, (T, None)), "(1, (T, None))"),
        (types.ListType(types.INT), "type list[int]"),
        (Literal(np.array([1, 2], np.uint8)), "array<u8[2]: 1, 2>"),
        (Literal(np.array(0.1, np.float32)), "array<f32[]: 0.10000000149011612>"),
        (Literal(np.array([0.5], dtypes.bfloat16.numpy)), "array<bf16[1]: 0.5>"),
        (Literal(np.zeros((0, 2))), "array<f64[0, 2]>"),
    ],
)
def test_attribute(value: object, text: str) -> None:
    assert attribute(value) == text


def test_long_and_odd_literals_are_named_by_digest() -> None:
    short, long = Literal(np.zeros(INLINE_LIMIT)), Literal(np.zeros(INLINE_LIMIT + 1))
    assert "sha256" not in attribute(short)
    assert attribute(long) == f"array<f64[17]: sha256 {long.digest}>"
    # The sign of this NaN has no text.
    odd = Literal(np.array([0xFFC00001], np.uint32).view(np.float32))
    assert attribute(odd) == f"array<f32[1]: sha256 {odd.digest}>"


@pytest.mark.parametrize("value", [[1], {}, b"x", object()])
def test_what_has_no_text_cannot_be_an_attribute(value: object) -> None:
    with pytest.raises(CompilerBug, match="cannot be an attribute"):
        attribute(value)


def test_header_declares_every_size_in_order_of_appearance() -> None:
    n, m, k = Symbol("N").dim, Symbol("M", 1, 2).dim, Symbol("K", 3).dim
    graph = Graph("main", [types.ListType(f32(T, n))])
    graph.append(toys.anything, [], {"value": (k,), "other": None}, [f32(m, T)])
    assert str(graph).splitlines()[0] == "graph @main<T: 0..64, N: 0.., M: 1..2, K: 3..>(%in0: list[f32[T, N]]) {"


def test_inner_graph_is_indented_and_has_its_own_header() -> None:
    inner = Graph("body", [f32(T)])
    inner.outputs = [toys.apply(inner, toys.add, *inner.inputs * 2)]
    graph = Graph("main", [f32(2)])
    graph.append(toys.call, graph.inputs, {"body": inner}, [f32(2)])
    expected = """\
graph @main(%in0: f32[2]) {
  %0: f32[2] = call(%in0, body=graph @body<T: 0..64>(%in0: f32[T]) {
    %0: f32[T] = add(%in0, %in0)
    return %0
  })
  return
}"""
    assert str(graph) == expected


def test_names_of_inputs() -> None:
    graph = Graph()
    for name in ("x", None, "x", "2", "in5", "no name"):
        graph.add_input(types.INT, name)
    header = str(graph).splitlines()[0]
    assert header == "graph @main(%x: int, %in1: int, %in2: int, %in3: int, %in5: int, %in5_: int) {"


def test_odd_names_of_graphs_are_quoted() -> None:
    assert str(Graph("f.<lambda>")).startswith('graph @"f.<lambda>"() {')
    assert str(Graph("a.b_1")).startswith("graph @a.b_1() {")


def test_locations_are_comments_on_one_line() -> None:
    graph = toys.sum_of_three()
    graph.nodes[0].loc = Location("src/train.py", 41)
    graph.nodes[1].loc = Location("a\nb.py", 1)
    lines = str(graph).splitlines()
    assert lines[1].endswith("add(%in0, %in1)  // train.py:41")
    assert lines[2].endswith("add(%0, %in0)  // a b.py:1")
    assert "//" not in print_graph(graph, locations=False)


def test_absent_operand_and_no_result() -> None:
    graph = Graph("main", [f32(2)])
    graph.append(toys.anything, [graph.inputs[0], None], {"value": 1, "other": 2}, [])
    assert str(graph).splitlines()[1] == "  anything(%in0, none, value=1, other=2)"


def test_a_value_from_elsewhere_is_marked() -> None:
    graph, other = toys.sum_of_three(), toys.sum_of_three()
    graph.outputs = other.outputs
    assert str(graph).splitlines()[-2] == "  return %?"


@pytest.mark.parametrize(
    ("name", "can"), [("B", True), ("batch_1", True), ("f32", False), ("nan", False), ("1", False)]
)
def test_names_of_sizes(name: str, can: bool) -> None:
    assert is_symbol_name(name) is can
