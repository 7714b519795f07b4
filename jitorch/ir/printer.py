"""Graph -> text.  `jitorch.ir.parser` reads it back; the grammar is beside it in ``graph.lark``.

    graph @main<B: 1..>(%x: f32[B, 64], %w: f32[64, 8]) writes (1: 0) where (8 < B) {
      %0: f32[B, 8] = matmul(%x, %w)  // train.py:41
      return %0
    }

The header declares every symbolic size that the graph mentions, with its range, and ``computed`` if a program computes
it.  A graph in an attribute stands there in full, with a header of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from jitorch import dtypes
from jitorch.dims import Dim, Symbol, SymDim, symbols
from jitorch.dtypes import DType
from jitorch.errors import CompilerBug, Location
from jitorch.ir.literal import Literal
from jitorch.ir.types import Type, sizes

if TYPE_CHECKING:
    from jitorch.ir.graph import Graph, Value

INLINE_LIMIT = 16
"""Literals with at most this many elements are written out; larger ones are named by digest."""

RESERVED = frozenset(
    {"True", "False", "None", "none", "inf", "nan", "complex", "array", "type", "graph"}
    | {d.short for d in dtypes.ALL}
)  # fmt: skip
"""Words that mean something where a size can stand too, so that no size may be called so."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_GRAPH_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9.]*")


def is_symbol_name(name: str) -> bool:
    """Whether a symbolic size can be called ``name`` in text."""
    return _NAME.fullmatch(name) is not None and name not in RESERVED


def print_graph(graph: Graph, indent: str = "", locations: bool = True) -> str:
    """The text of ``graph``; node locations are comments."""
    names = _input_names(graph)
    inner = indent + "  "
    params = ", ".join(f"{names[v]}: {v.type}" for v in graph.inputs)
    title = graph.name if _GRAPH_NAME.fullmatch(graph.name) else json.dumps(graph.name)
    lines = [f"graph @{title}{_symbols(graph)}({params}){_writes(graph)}{_facts(graph)} {{"]
    for node in graph.nodes:
        for v in node.outputs:
            names[v] = f"%{len(names) - len(graph.inputs)}"
        results = ", ".join(f"{names[v]}: {v.type}" for v in node.outputs)
        args = ["none" if v is None else names.get(v, "%?") for v in node.inputs]
        args += [f"{k}={attribute(a, inner, locations)}" for k, a in node.attrs.items()]
        where = _location(node.loc) if locations and node.loc is not None else ""
        equals = " = " if results else ""
        lines.append(f"{inner}{results}{equals}{node.op.name}({', '.join(args)}){where}")
    lines.append(f"{inner}return {', '.join(names.get(v, '%?') for v in graph.outputs)}".rstrip())
    return "\n".join([*lines, indent + "}"])


def _input_names(graph: Graph) -> dict[Value, str]:
    given = graph.input_names + [""] * len(graph.inputs)
    names: dict[Value, str] = {}
    taken: set[str] = set()
    for i, (value, name) in enumerate(zip(graph.inputs, given)):
        if not _NAME.fullmatch(name) or name in taken:
            name = f"in{i}"
        while name in taken:
            name += "_"
        taken.add(name)
        names[value] = f"%{name}"
    return names


def _symbols(graph: Graph) -> str:
    ranges = [_range(s) for s in mentioned_symbols(graph)]
    return f"<{', '.join(ranges)}>" if ranges else ""


def _range(symbol: Symbol) -> str:
    high = "" if symbol.high is None else symbol.high
    return f"{symbol.name}: {symbol.low}..{high}{' computed' if symbol.computed else ''}"


def mentioned_symbols(graph: Graph) -> tuple[Symbol, ...]:
    """The symbols in types, attributes and facts of ``graph``, inner graphs aside, in order of appearance."""
    found: dict[Symbol, None] = {}
    for dim in _mentioned(graph):
        if isinstance(dim, SymDim):
            found.update(dict.fromkeys(symbols(dim)))
    return tuple(found)


def _mentioned(graph: Graph) -> Iterator[Dim]:
    for value in graph.inputs:
        yield from sizes(value.type)
    for node in graph.nodes:
        for value in node.outputs:
            yield from sizes(value.type)
        for value in node.attrs.values():
            yield from _mentioned_in(value)
    for fact in graph.facts:
        yield from (fact.left, fact.right)


def _mentioned_in(value: Any) -> Iterator[Dim]:
    if isinstance(value, SymDim):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _mentioned_in(item)
    elif isinstance(value, Type):
        yield from sizes(value)


def _writes(graph: Graph) -> str:
    if not graph.writes:
        return ""
    return f" writes ({', '.join(f'{i}: {o}' for i, o in graph.writes)})"


def _facts(graph: Graph) -> str:
    return f" where ({', '.join(map(str, graph.facts))})" if graph.facts else ""


def _location(location: Location) -> str:
    return f"  // {' '.join(str(location).splitlines())}"


def attribute(value: Any, indent: str = "", locations: bool = True) -> str:
    """The text of an attribute's value; CompilerBug where it is of no kind that has a text."""
    if isinstance(value, DType):
        return value.short
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, (bool, int, float, complex)) or value is None:
        return _number(value)
    if isinstance(value, SymDim):
        return str(value)
    if isinstance(value, tuple):
        items = ", ".join(attribute(v, indent, locations) for v in value)
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, Literal):
        return _literal(value)
    if isinstance(value, Type):
        return f"type {value}"
    # The class itself stands above this module.
    if not hasattr(value, "nodes"):
        raise CompilerBug(f"a {type(value).__name__} cannot be an attribute", actual=repr(value))
    return print_graph(value, indent, locations)


def _number(value: complex | None) -> str:
    # Not repr(value): a subclass, such as NumPy's float64 or an IntEnum, writes itself differently.
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value)
    return f"complex({_number(value.real)}, {_number(value.imag)})"


def _literal(value: Literal) -> str:
    type = value.type
    if type.size == 0:
        return f"array<{type}>"
    if type.size <= INLINE_LIMIT:
        items = value.items()
        # A NaN may hold bits that its text does not tell.
        if Literal.of(type, items) == value:
            return f"array<{type}: {', '.join(map(_number, items))}>"
    return f"array<{type}: sha256 {value.digest}>"
