"""Decompose: replace composite ops by their bodies."""

from __future__ import annotations

from collections.abc import Callable

from jitorch.builder import expand
from jitorch.ir.graph import Graph, Node, Value


def decompose(graph: Graph, keep: Callable[[Node], bool] = lambda node: False) -> bool:
    """Replace every composite node that ``keep`` does not accept, and those in its body, by the body's nodes."""
    changed = False
    while _expand_all(graph, keep):
        changed = True
    for inner in graph.subgraphs():
        changed |= decompose(inner, keep)
    return changed


def _expand_all(graph: Graph, keep: Callable[[Node], bool]) -> bool:
    """Replace the composites that stand in the graph now, once over."""
    if not any(node.op.body is not None and not keep(node) for node in graph.nodes):
        return False
    nodes: list[Node] = []
    for node in graph:
        if node.op.body is None or keep(node):
            nodes.append(node)
        else:
            nodes.extend(_inline(graph, node, expand(node)))
    graph.nodes = nodes
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
