"""Dead code, common subexpressions and constants."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.types import PYTHON_TYPES, ScalarType, TensorType
from jitorch.ops import OPS
from jitorch.ops.control import check as CHECK
from jitorch.ops.control import has_effect, inner_graphs


def everywhere(change: Callable[[Graph], bool]) -> Callable[[Graph], bool]:
    """The pass that does ``change`` to the graphs in a graph, inside out, and then to the graph itself."""

    @wraps(change)
    def run(graph: Graph) -> bool:
        changed = False
        for node in graph:
            for inner in inner_graphs(node):
                changed |= run(inner)
        return change(graph) | changed

    return run


@everywhere
def dce(graph: Graph) -> bool:
    """Drop nodes nobody uses.  Values are pure, so "unused" is the whole condition for what makes no check."""
    live: set[Value] = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if any(v in live for v in node.outputs) or has_effect(node):
            kept.append(node)
            live.update(node.operands)
    kept.reverse()
    changed = len(kept) != len(graph.nodes)
    if changed:
        graph.rebuild(kept)
    return changed


@everywhere
def cse(graph: Graph) -> bool:
    """Merge nodes with the same op, inputs and attributes."""
    seen: dict[tuple[Any, ...], Node] = {}
    changed = False
    for node in graph:
        if node.op is CHECK:
            continue
        first = seen.setdefault(node.key(), node)
        if first is not node:
            for old, new in zip(node.outputs, first.outputs):
                graph.replace(old, new)
            changed = True
    return changed | (dce(graph) if changed else False)


@everywhere
def fold(graph: Graph) -> bool:
    """Compute what depends on constants only, where the result is one number."""
    changed = False
    for node in graph:
        if len(node.outputs) != 1 or not node.inputs or not _is_number(node.output):
            continue
        sources = [v.node for v in node.operands]
        if len(sources) != len(node.inputs) or "numpy" not in node.op.rules:
            continue
        if all(n is not None and n.op.name in ("constant", "number") for n in sources):
            _replace_by_constant(graph, node)
            changed = True
    return changed | (dce(graph) if changed else False)


def _is_number(value: Value) -> bool:
    return isinstance(value.type, ScalarType) or (isinstance(value.type, TensorType) and value.type.shape == ())


def _replace_by_constant(graph: Graph, node: Node) -> None:
    operands = []
    for value in node.operands:
        rule = value.node.op.rules["numpy"]  # type: ignore[union-attr]
        operands.append(rule(**value.node.attrs))  # type: ignore[union-attr]
    with np.errstate(all="ignore"):
        result = node.op.rules["numpy"](*node.op.group(operands), **node.attrs)
    type_ = node.output.type
    at = graph.nodes.index(node)
    if isinstance(type_, TensorType):
        value = np.asarray(result, type_.dtype.numpy).item()
        new = Node(OPS["constant"], (), {"value": value, "dtype": type_.dtype}, (type_,), node.loc)
    else:
        value = np.asarray(result, type_.dtype.numpy).item()  # type: ignore[attr-defined]
        new = Node(OPS["number"], (), {"value": value}, (PYTHON_TYPES[type(value)],), node.loc)
    graph.nodes[at] = new
    graph.replace(node.output, new.output)
    node.drop()
