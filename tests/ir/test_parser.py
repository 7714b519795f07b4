from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.dims import Guard, Symbol, dim_min
from jitorch.errors import ParseError
from jitorch.ir import types
from jitorch.ir.graph import Graph
from jitorch.ir.literal import Literal
from jitorch.ir.parser import parse_type
from jitorch.ir.syntax import MAX_DEPTH, MAX_LENGTH
from jitorch.ir.types import Type
from tests.dims.expressions import KNOWN
from tests.ir import toys
from tests.ir.random_graphs import all_types, graphs, typed_graphs

EXAMPLE = """\
graph @main<B: 1.., T: 0..64>(%x: f32[B, 4*T], %y: f32[B, 4*T]) writes (1: 0) {
  %0: f32[B, 4*T] = add(%x, %y)  // train.py:41
  %1: f32[B, 8*T] = concat(%0, %y, axis=1)
  return %0, %1
}"""


def parse(text: str) -> Graph:
    return Graph.parse(text, toys.OPS)


def parse_attribute(text: str, header: str = "") -> Any:
    return parse(f"graph @g{header}() {{ anything(value={text}) return }}").nodes[0].attrs["value"]


def error_of(text: str) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse(text)
    return caught.value


# Round trip


def test_example() -> None:
    graph = parse(EXAMPLE)
    b, t = Symbol("B", 1).dim, Symbol("T", 0, 64).dim
    assert graph.name == "main"
    assert graph.input_names == ["x", "y"]
    assert graph.inputs[0].type == toys.f32(b, 4 * t)
    assert [node.op.name for node in graph] == ["add", "concat"]
    assert graph.nodes[1].attrs == {"axis": 1}
    assert graph.outputs == [graph.nodes[0].output, graph.nodes[1].output]
    assert graph.writes == ((1, 0),)
    assert str(graph) == EXAMPLE


def test_facts() -> None:
    text = "graph @g<T: 1..>(%x: f32[T]) where (T != 4, 2*T + 1 <= 9, T < max(3, T - 1)) {\n  return %x\n}"
    graph = parse(text)
    t = Symbol("T", 1).dim
    assert graph.facts[:2] == (Guard("!=", t, 4), Guard("<=", 2 * t + 1, 9))
    assert str(graph) == text
    assert graph != parse(text.replace("T != 4", "T != 5"))


def test_location_is_read_from_the_comment() -> None:
    node, other = parse(EXAMPLE).nodes
    assert node.loc is not None
    assert (node.loc.file, node.loc.line) == ("train.py", 41)
    assert other.loc is None


def test_one_symbol_for_a_name() -> None:
    graph = parse(EXAMPLE)
    assert [(s.name, s.low, s.high) for s in graph.symbols] == [("B", 1, None), ("T", 0, 64)]


@given(graphs())
def test_any_graph_round_trips(graph: Graph) -> None:
    text = str(graph)
    again = Graph.parse(text, toys.OPS, graph.literals())
    assert again == graph
    assert str(again) == text


@given(typed_graphs())
def test_typed_graph_round_trips(graph: Graph) -> None:
    assert parse(str(graph)) == graph


@given(all_types())
def test_any_type_round_trips(type: Type) -> None:
    assert parse_type(str(type), KNOWN) == type


def test_layout_and_comments_mean_nothing() -> None:
    text = "graph@main(%x:f32[2]){// one\n%0:f32[2]=add(%x\n,%x)return%0}// two"
    graph = parse(text)
    assert graph.nodes[0].op is toys.add
    assert graph.nodes[0].loc is None


def test_attributes_left_out_take_their_defaults() -> None:
    node = parse("graph @g(%x: f32[2]) { %0: f32[2] = concat(%x) return %0 }").nodes[0]
    assert node.attrs == {"axis": 0}


# Types


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f32[]", toys.f32()),
        ("bf16[2, 3]", types.TensorType(dtypes.bfloat16, (2, 3))),
        ("bool[1]", types.TensorType(dtypes.bool_, (1,))),
        ("bool", types.BOOL),
        ("int", types.INT),
        ("none", types.NONE),
        ("effect", types.EFFECT),
        ("tuple[]", types.TupleType(())),
        ("dict[str, list[int]]", types.DictType(types.STR, types.ListType(types.INT))),
        ("optional[float]", types.OptionalType(types.FLOAT)),
        ("tensor", types.TENSOR),
        ("union[int, list[tensor]]", types.UnionType((types.INT, types.ListType(types.TENSOR)))),
        ("tuple[complex, device, dtype, any]", types.TupleType((types.COMPLEX, types.DEVICE, types.DTYPE, types.ANY))),
        ("record m.Point{x: int, list: str}", types.RecordType("m.Point", (("x", types.INT), ("list", types.STR)))),
        ('record "f.<locals>.P"{"a b": int}', types.RecordType("f.<locals>.P", (("a b", types.INT),))),
    ],
)
def test_type(text: str, expected: Type) -> None:
    assert parse_type(text) == expected
    assert str(expected) == text


def test_type_over_given_symbols() -> None:
    t = Symbol("T", 1)
    assert parse_type("i64[min(T, 5), T - 1]", {"T": t}) == types.TensorType(
        dtypes.int64, (dim_min(t.dim, 5), t.dim - 1)
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("f33[2]", "unknown dtype 'f33'"),
        ("f32", "a tensor type needs a shape"),
        ("flot", "unknown type 'flot'"),
        ("f32[T]", "not a size: 'T'"),
        ("f32[3*]", "this is not graph text"),
        ("f32[floordiv(4, 0)]", "division of the size 4 by zero"),
        ("f32[sqrt(4)]", "not a size: 'sqrt(4)'"),
        ("f32[4 // 2\n + 1]", "a comment inside of a size"),
        ("list[int", "this is not graph text"),
        ('record "\\q"{}', "not a JSON string"),
        ("", "this is not graph text"),
        ("int int", "this is not graph text"),
    ],
)
def test_wrong_type(text: str, what: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_type(text)
    assert caught.value.what == what


# Attributes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 3),
        ("-3", -3),
        ("1.5", 1.5),
        ("-1e-05", -1e-05),
        ("1e+22", 1e22),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("complex(1.0, -2.0)", 1 - 2j),
        ("True", True),
        ("False", False),
        ("None", None),
        ("none", None),
        ("f32", dtypes.float32),
        ("bool", dtypes.bool_),
        ('"a // \\"b\\" %0"', 'a // "b" %0'),
        ('"\\u00e9"', "é"),
        ("()", ()),
        ("(1,)", (1,)),
        ("(1, (2.0, None), f32)", (1, (2.0, None), dtypes.float32)),
        ("type list[f32[2]]", types.ListType(toys.f32(2))),
        ("type bool", types.BOOL),
        ("array<f32[2]: 1.0, -inf>", Literal(np.array([1, -np.inf], np.float32))),
        ("array<i64[]: -7>", Literal(np.array(-7))),
        ("array<bool[2, 1]: True, False>", Literal(np.array([[True], [False]]))),
        ("array<c64[1]: complex(1.0, 2.0)>", Literal(np.array([1 + 2j], np.complex64))),
        ("array<f32[0, 3]>", Literal(np.zeros((0, 3), np.float32))),
    ],
)
def test_attribute(text: str, expected: object) -> None:
    value = parse_attribute(text)
    assert value == expected
    assert type(value) is type(expected)


def test_nan_and_the_sign_of_zero() -> None:
    assert math.isnan(parse_attribute("nan"))
    assert math.copysign(1, parse_attribute("-0.0")) == -1


def test_size_attribute() -> None:
    t = Symbol("T", 0)
    assert parse_attribute("(4*T, -T + 1, 2)", "<T: 0..>") == (4 * t.dim, 1 - t.dim, 2)


def test_words_of_the_grammar_are_free_as_names() -> None:
    graph = parse("graph @graph<list: 0..>(%return: list[f32[list]]) { return %return }")
    assert graph.input_names == ["return"]
    assert graph.inputs[0].type == types.ListType(toys.f32(Symbol("list", 0).dim))


def test_inner_graph_sees_nothing_of_the_outer_one() -> None:
    inner = "graph @b(%x: f32[2]) {{ return {} }}"
    outer = "graph @a(%y: f32[2]) {{ %0: f32[2] = call(%y, body={}) return %0 }}"
    graph = parse(outer.format(inner.format("%x")))
    assert graph.nodes[0].attrs["body"] == parse(inner.format("%x"))
    assert error_of(outer.format(inner.format("%y"))).what == "unknown value '%y'"


# Arrays by digest


def test_array_by_digest() -> None:
    array = np.arange(100, dtype=np.float32)
    graph = Graph()
    node = graph.append(toys.constant, [], {"value": Literal(array)}, [toys.f32(100)])
    graph.outputs = [node.output]
    digest = Literal(array).digest
    assert f"array<f32[100]: sha256 {digest}>" in str(graph)
    assert Graph.parse(str(graph), toys.OPS, {digest: array}) == graph
    assert Graph.parse(str(graph), toys.OPS, graph.literals()) == graph
    with pytest.raises(ParseError, match=digest):
        parse(str(graph))


def test_array_given_for_a_digest_must_have_it() -> None:
    digest = "0" * 64
    text = f"graph @g() {{ anything(value=array<f32[2]: sha256 {digest}>) return }}"
    with pytest.raises(ParseError, match="another one"):
        Graph.parse(text, toys.OPS, {digest: np.zeros(2, np.float32)})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("array<f32[3]: 1.0>", "wrong number of elements"),
        ("array<f32[1000000000]: 1.0>", "wrong number of elements"),
        ("array<f32[2]>", "wrong number of elements"),
        ("array<u8[1]: 256>", "not elements of u8[1]"),
        ("array<i32[1]: 1.5>", "not elements of i32[1]"),
        ("array<i32[1]: True>", "not elements of i32[1]"),
        ("array<bool[1]: 1>", "not elements of bool[1]"),
        ("array<f32[-1]>", "an array's sizes are numbers"),
    ],
)
def test_wrong_array(text: str, what: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_attribute(text)
    assert caught.value.what == what


# Errors


@pytest.mark.parametrize(
    ("text", "what", "line", "column"),
    [
        ("", "this is not graph text", 1, 0),
        ("graph @g() {\n  return", "this is not graph text", 2, 8),
        ("graph @g() {\n  return }\n}", "this is not graph text", 3, 0),
        ("graph @g() {\n  ?\n}", "this is not graph text", 2, 2),
        ("graph @g() {\n  return %0\n}", "unknown value '%0'", 2, 9),
        ("graph @g(%x: f32[2], %x: int) { return }", "%x is defined twice", 1, 21),
        ("graph @g(%x: f32[2]) {\n  %x: f32[2] = add(%x, %x)\n return }", "%x is defined twice", 2, 2),
        ("graph @g(%x: f32[2]) {\n  adds(%x)\n  return\n}", "unknown op 'adds'", 2, 2),
        ("graph @g(%x: f32[2]) { add(%x) return }", "add: wrong number of operands", 1, 23),
        ("graph @g(%x: f32[2]) { add(%x, %x, %x) return }", "add: wrong number of operands", 1, 23),
        ("graph @g() { concat(axes=1) return }", "unknown attribute of concat 'axes'", 1, 20),
        ("graph @g() { concat(axis=1, axis=2) return }", "concat: attribute 'axis' given twice", 1, 28),
        ("graph @g(%x: int) { concat(axis=1, %x) return }", "operands come before attributes", 1, 35),
        ("graph @g() { constant() return }", "constant: missing attribute 'value'", 1, 13),
        ("graph @g() { anything(value=f33) return }", "unknown word 'f33'", 1, 28),
        ("graph @g() { anything(value=T + 1) return }", "not a size: 'T + 1'", 1, 28),
        ("graph @g() { anything(value=%0) return }", "this is not graph text", 1, 28),
        ('graph @g() { anything(value="\\x") return }', "not a JSON string", 1, 28),
        ("graph @g<T: 0.., T: 1..>() { return }", "the size T is declared twice", 1, 17),
        ("graph @g<T: 5..4>() { return }", "the size T has an empty range", 1, 9),
        ("graph @g<f32: 0..>() { return }", "'f32' cannot be the name of a size", 1, 9),
        ("graph @g<a.b: 0..>() { return }", "'a.b' cannot be the name of a size", 1, 9),
        ("graph @g() writes (0: 0) { return }", "a write names an input or output that is not there", 1, 19),
        ("graph @g<T: 0..>() where (T < U) { return }", "not a size: 'U'", 1, 30),
        ("graph @g<T: 0..>() where (T) { return }", "this is not graph text", 1, 27),
        ('graph @"\\x"() { return }', "not a JSON string", 1, 6),
    ],
)
def test_error_points_into_the_text(text: str, what: str, line: int, column: int) -> None:
    error = error_of(text)
    assert error.where is not None
    assert (error.what, error.where.line, error.where.column) == (what, line, column)


def test_error_shows_the_line_and_the_closest_name() -> None:
    message = str(error_of("graph @g(%x: f32[2]) {\n\t%0: f32[2] = ad(%x, %x)  // a.py:1\n  return %0\n}"))
    assert message.splitlines()[2:5] == [
        "  at:       line 2, column 15   %0: f32[2] = ad(%x, %x)  // a.py:1",
        "                                             ^^",
        "  hint:     did you mean add?",
    ]


def test_error_says_what_was_expected() -> None:
    error = error_of("graph @g(x: f32[2]) { return }")
    assert error.expected == "')', a value (%0)"
    assert error.actual == "'x'"


def test_excerpt_of_a_long_line_is_cut_around_the_place() -> None:
    excerpt = error_of("graph @g(" + "%x: f32[2], " * 500 + "%y: int) { return }").where.excerpt()  # type: ignore[union-attr]
    line, carets = excerpt
    assert len(line) <= 100
    assert line[carets.index("^") : len(carets)] == "%x"


# Bounds: text may come from anywhere


@pytest.mark.parametrize(
    "text",
    [
        "graph @g() { anything(value=" + "(" * 100_000,
        "graph @g() { anything(value=" + "(" * 200 + "1" + ",)" * 200 + ") return }",
        "graph @g(%x: " + "list[" * 200 + "int" + "]" * 200 + ") { return }",
        "graph @g(%x: f32[" + "min(1, " * 200 + "2" + ")" * 200 + "]) { return }",
        "graph @g() { call(body=" * 200 + "graph @g() { return }" + ") return }" * 200,
    ],
)
def test_deep_nesting_is_an_error(text: str) -> None:
    assert error_of(text).what == "nested too deeply"


def test_greatest_depth_is_read() -> None:
    # The braces of the graph and the parentheses of the node are two.
    depth = MAX_DEPTH - 2
    value = parse_attribute("(" * depth + "1" + ",)" * depth)
    for _ in range(depth):
        (value,) = value
    assert value == 1


def test_little_stack_is_an_error() -> None:
    text = "graph @g() { anything(value=" + "(" * 90 + "1" + ",)" * 90 + ") return }"

    def deeper() -> Graph:
        """Read on ever less stack until it fails."""
        parse(text)
        return deeper()

    with pytest.raises(ParseError, match="nested too deeply for the stack"):
        deeper()


def test_brackets_in_strings_and_comments_do_not_nest() -> None:
    assert parse_attribute('"' + "(" * 1000 + '"') == "(" * 1000
    assert parse("// " + "(" * 1000 + "\ngraph @g() { return }").nodes == []


def test_long_text_is_an_error() -> None:
    assert error_of(" " * (MAX_LENGTH + 1)).what == "the text is too long"


def test_long_number_is_an_error() -> None:
    assert error_of(f"graph @g() {{ anything(value={'9' * 5000}) return }}").what == "this is not graph text"


@given(st.text(st.sampled_from("graph@main(){}<>[]%x0:f32, \n=-+*.\"'/\\typeTNone"), max_size=40), st.integers(0, 180))
def test_any_text_is_a_graph_or_a_parse_error(junk: str, at: int) -> None:
    error = None
    try:
        parse(EXAMPLE[:at] + junk + EXAMPLE[at:])
    except ParseError as caught:
        error = caught
    assert error is None or "line " in str(error)


def test_lark_is_imported_when_text_is_read() -> None:
    program = """
import sys
from jitorch.ir.graph import Graph
assert "lark" not in sys.modules
Graph.parse("graph @g() { return }", {})
assert "lark" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
