"""Decompose: replace composite ops by their bodies."""

from __future__ import annotations

from collections.abc import Callable

from jitorch.builder import expand
from jitorch.ir.graph import Graph, Node, Value


def decompose(graph: Graph, keep: Callable[[Node], bool] = lambda node: False) -> bool:
    """Replace every composite node that ``keep`` does not accept, and those in its body, by the body's nodes."""
    if not any(node.op.body is not None and not keep(node) for node in graph.nodes):
        return False
    while True:
        nodes: list[Node] = []
        changed = False
        for node in graph:
            if node.op.body is None or keep(node):
                nodes.append(node)
                continue
            nodes.extend(_inline(graph, node, expand(node)))
            changed = True
        graph.nodes = nodes
        if not changed:
            return True


def _inline(graph: Graph, node: Node, body: Graph) -> list[Node]:
    mapping: dict[Value, Value] = dict(zip(body.inputs, node.operands))
    scratch = Graph("body")
    scratch.paste(body, mapping)
    for inner in scratch.nodes:
        inner.loc = node.loc
    for old, new in zip(node.outputs, body.outputs, strict=True):
        graph.replace(old, mapping[new])
    node.drop()
    return scratch.nodes
