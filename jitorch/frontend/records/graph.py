"""Graphs as plain data: what a record keeps of the graph of a trace, and of the types of its programs.

It is quicker to write and to read than the text form, needs no grammar, and is only for the jitorch that wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch.compiler import is_own
from jitorch.errors import CompilerBug, Location
from jitorch.frontend.records.data import Decoder, Encoder
from jitorch.frontend.records.names import Unportable
from jitorch.ir.graph import Graph, Value
from jitorch.ir.literal import Literal
from jitorch.ir.types import Type
from jitorch.ops import OPS

_ABSENT = -1


def encode_signature(graph: Graph, encoder: Encoder) -> Any:
    """The data of a graph's name, inputs, outputs and writes, for those who only ask for types."""
    inputs, outputs = ([encoder.value(v.type) for v in values] for values in (graph.inputs, graph.outputs))
    return graph.name, tuple(inputs), tuple(outputs), graph.writes, tuple(graph.input_names), _facts(graph, encoder)


def decode_signature(data: Any, decoder: Decoder) -> Graph:
    """What `encode_signature` wrote, as a graph without nodes."""
    name, inputs, outputs, writes, input_names, facts = data
    made = Graph(name, map(decoder.value, inputs))
    made.input_names = list(input_names)
    made.outputs = [Value(decoder.value(t)) for t in outputs]
    made.writes, made.facts = writes, tuple(map(decoder.guard, facts))
    return made


def _facts(graph: Graph, encoder: Encoder) -> tuple[str, ...]:
    return tuple(map(encoder.guard, graph.facts))


class _Tables:
    """Types and places of a graph that is written, each once."""

    def __init__(self, encoder: Encoder):
        self.encoder = encoder
        self.types: dict[Type, int] = {}
        self.type_data: list[Any] = []
        self.files: dict[str, int] = {}

    def type(self, type_: Type) -> int:
        known = self.types.get(type_)
        if known is None:
            self.type_data.append(self.encoder.value(type_))
            known = self.types[type_] = len(self.type_data) - 1
        return known

    def place(self, loc: Location | None) -> Any:
        return None if loc is None else (self.files.setdefault(loc.file, len(self.files)), loc.line)


def encode_graph(graph: Graph, encoder: Encoder) -> Any:
    """The data of a whole graph.  Raises `Unportable` for ops and attributes that another process may not know."""
    tables = _Tables(encoder)
    body = _encode_body(graph, tables)
    return tuple(tables.type_data), tuple(tables.files), body


def _encode_body(graph: Graph, tables: _Tables) -> Any:
    numbers: dict[Value | None, int] = {v: i for i, v in enumerate(graph.inputs)}
    numbers[None] = _ABSENT
    nodes = []
    for node in graph.nodes:
        if not is_own(node.op):
            raise Unportable(f"the op {node.op.name}, which is not jitorch's")
        inputs = tuple([numbers[v] for v in node.inputs])
        attrs = tuple([(name, _encode_attribute(value, tables)) for name, value in node.attrs.items()])
        types = tuple([tables.type(v.type) for v in node.outputs])
        nodes.append((node.op.name, inputs, attrs, types, tables.place(node.loc)))
        for v in node.outputs:
            numbers[v] = len(numbers) - 1
    inputs = tuple(tables.type(v.type) for v in graph.inputs)
    outputs = tuple(numbers[v] for v in graph.outputs)
    facts = _facts(graph, tables.encoder)
    return graph.name, inputs, tuple(graph.input_names), tuple(nodes), outputs, graph.writes, facts


def _encode_attribute(value: Any, tables: _Tables) -> Any:
    if isinstance(value, Graph):
        return "graph", _encode_body(value, tables)
    if isinstance(value, Literal):
        return "literal", tables.encoder.array(value.array)
    if type(value) is tuple:
        return "tuple", *(_encode_attribute(x, tables) for x in value)
    return tables.encoder.value(value)


class _Reader:
    def __init__(self, types: Sequence[Any], files: Sequence[str], decoder: Decoder):
        self.files, self.decoder = files, decoder
        self.types = [decoder.value(t) for t in types]
        self.literals: dict[int, Literal] = {}

    def graph(self, body: Any) -> Graph:
        name, inputs, input_names, nodes, outputs, writes, facts = body
        graph = Graph(name, [self.types[t] for t in inputs])
        graph.input_names = list(input_names)
        values: list[Value] = list(graph.inputs)
        for op, operands, attrs, types, place in nodes:
            node = graph.append(
                OPS[op],
                [None if i == _ABSENT else values[i] for i in operands],
                {k: self.attribute(v) for k, v in attrs},
                [self.types[t] for t in types],
                self.place(place),
            )
            values += node.outputs
        graph.outputs = [values[i] for i in outputs]
        graph.writes, graph.facts = writes, tuple(map(self.decoder.guard, facts))
        return graph

    def place(self, place: tuple[int, int] | None) -> Location | None:
        return None if place is None else Location(self.files[place[0]], place[1])

    def attribute(self, data: Any) -> Any:
        if type(data) is not tuple:
            return data
        if data[0] == "graph":
            return self.graph(data[1])
        if data[0] == "literal":
            known = self.literals.get(data[1])
            if known is None:
                known = self.literals[data[1]] = Literal(self.decoder.array(data[1]))
            return known
        if data[0] == "tuple":
            return tuple(map(self.attribute, data[1:]))
        return self.decoder.value(data)


def decode_graph(data: Any, decoder: Decoder) -> Graph:
    """The graph that `encode_graph` wrote."""
    types, files, body = data
    try:
        return _Reader(types, files, decoder).graph(body)
    except (LookupError, TypeError) as error:
        raise CompilerBug("a record's graph cannot be read", actual=str(error)) from error
