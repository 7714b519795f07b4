"""Graph -> text.  `jitorch.ir.parser` reads it back; the grammar is beside it in ``graph.lark``.

    graph @main<B: 1..>(%x: f32[B, 64], %w: f32[64, 8]) writes (1: 0) {
      %0: f32[B, 8] = matmul(%x, %w)  // train.py:41
      return %0
    }
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from jitorch.dims import SymDim
from jitorch.dtypes import DType
from jitorch.ir.literal import Literal

if TYPE_CHECKING:
    from jitorch.ir.graph import Graph, Value

INLINE_LIMIT = 16
"""Literals with at most this many elements are written out; larger ones are named by digest."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


def print_graph(graph: Graph, indent: str = "", locations: bool = True) -> str:
    """The text of ``graph``; node locations are comments."""
    names = _input_names(graph)
    inner = indent + "  "
    params = ", ".join(f"{names[v]}: {v.type}" for v in graph.inputs)
    lines = [f"graph @{graph.name}{_symbols(graph)}({params}){_writes(graph)} {{"]
    for node in graph.nodes:
        for v in node.outputs:
            names[v] = f"%{len(names) - len(graph.inputs)}"
        results = ", ".join(f"{names[v]}: {v.type}" for v in node.outputs)
        args = ["none" if v is None else names.get(v, "%?") for v in node.inputs]
        args += [f"{k}={attribute(a, inner)}" for k, a in node.attrs.items()]
        where = f"  // {node.loc}" if locations and node.loc is not None else ""
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
        taken.add(name)
        names[value] = f"%{name}"
    return names


def _symbols(graph: Graph) -> str:
    found = graph.symbols
    if not found:
        return ""
    ranges = (f"{s.name}: {s.low}..{'' if s.high is None else s.high}" for s in found)
    return f"<{', '.join(ranges)}>"


def _writes(graph: Graph) -> str:
    if not graph.writes:
        return ""
    return f" writes ({', '.join(f'{i}: {o}' for i, o in graph.writes)})"


def attribute(value: Any, indent: str = "") -> str:
    """The text of an attribute's value."""
    if isinstance(value, DType):
        return value.short
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, (bool, int, float, complex, SymDim)) or value is None:
        return str(value) if isinstance(value, SymDim) else repr(value)
    if isinstance(value, tuple):
        items = ", ".join(attribute(v, indent) for v in value)
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, Literal):
        return _literal(value)
    return print_graph(value, indent)


def _literal(value: Literal) -> str:
    if value.array.size > INLINE_LIMIT or value.array.dtype.kind not in "biuf":
        return f"array<{value.type}: sha256 {value.digest}>"
    items = value.array.ravel().tolist()
    return f"array<{value.type}: {', '.join(map(repr, items))}>"
