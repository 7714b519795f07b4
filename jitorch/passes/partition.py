"""Partition: give every node to a backend, and cut the graph into regions that one backend runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jitorch.dims import Symbol
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.sizes import carriers, symbols_of
from jitorch.ir.types import EFFECT
from jitorch.ops.control import begin

Assign = Callable[[Node], str]


@dataclass
class Region:
    """A part of a graph as a graph of its own.

    ``inputs`` and ``outputs`` are the values of the whole graph that enter and leave; ``nodes`` says
    what came from where, for `explain()`.
    """

    backend: str
    graph: Graph
    inputs: list[Value]
    outputs: list[Value]
    nodes: list[Node] = field(default_factory=list)


def partition(graph: Graph, assign: Assign) -> list[Region]:
    """Regions in an order in which they can run."""
    groups: list[tuple[str, list[Node]]] = []
    position: dict[Node, int] = {}
    binders: dict[Symbol, Node] = {}
    for node in graph.nodes:
        backend = assign(node)
        sizes = symbols_of((v.type for v in node.outputs), node.attrs) if binders else ()
        before = [v.node for v in node.operands if v.node is not None] + [binders[s] for s in sizes if s in binders]
        after = max((position[n] for n in before), default=-1)
        if node.op.name == "steps":
            binders.update(dict.fromkeys(symbols_of((), node.attrs), node))
        found = next((i for i in range(len(groups) - 1, max(after, 0) - 1, -1) if groups[i][0] == backend), None)
        if found is None:
            groups.append((backend, [node]))
            position[node] = len(groups) - 1
        else:
            groups[found][1].append(node)
            position[node] = found
    constants = {node: groups[at][0] for node, at in position.items() if _is_constant(node)}
    kept = [(backend, _wanted(graph, backend, nodes, constants, assign)) for backend, nodes in groups]
    parts = [(backend, nodes) for backend, nodes in kept if nodes]
    return [_region(graph, i, backend, nodes, constants, assign) for i, (backend, nodes) in enumerate(parts)]


def _is_constant(node: Node) -> bool:
    """Whether the elements of ``node`` are one number: that takes less to make again than to hand over."""
    if node.op.name == "broadcast_to":
        operand = node.operands[0].node
        return operand is not None and _is_constant(operand)
    return node.op.name == "constant"


def _wanted(
    graph: Graph, backend: str, nodes: Sequence[Node], constants: Mapping[Node, str], assign: Assign
) -> list[Node]:
    """``nodes`` without those ``constants`` that only other regions of the same backend read, which make them again."""
    found: dict[Node, None] = {}
    for node in reversed(nodes):
        users = [u for v in node.outputs for u in v.users]
        is_read = any(u in found or assign(u) != backend for u in users)
        if node not in constants or is_read or any(v in graph.outputs for v in node.outputs):
            found[node] = None
    return list(reversed(found))


def _with_constants(nodes: Sequence[Node], backend: str, constants: Mapping[Node, str]) -> list[Node]:
    """``nodes`` behind those of the same backend that make what they read of ``constants``."""
    found: dict[Node, None] = {}
    inside = set(nodes)

    def add(node: Node) -> None:
        for value in node.operands:
            if value.node is not None and value.node not in inside and constants.get(value.node) == backend:
                add(value.node)
        if node not in inside:
            found[node] = None

    for node in nodes:
        add(node)
    return [*found, *nodes]


def _region(
    graph: Graph, number: int, backend: str, own: Sequence[Node], constants: Mapping[Node, str], assign: Assign
) -> Region:
    nodes = _with_constants(own, backend, constants)
    inside = set(nodes)
    inputs: dict[Value, None] = {}
    for node in nodes:
        inputs.update((v, None) for v in node.operands if v.node not in inside)
    bound = [v for node in graph.nodes if node.op.name == "steps" for v in node.outputs]
    inputs.update((v, None) for v in carriers(nodes, list(inputs), [*graph.inputs, *bound]))
    needed = set(graph.outputs)

    def is_read(value: Value, node: Node) -> bool:
        """Whether another region, which does not make it again, reads ``value``."""
        others = (u for u in value.users if u not in inside)
        return any(node not in constants or assign(u) != backend for u in others)

    outputs = [v for n in own for v in n.outputs if v in needed or is_read(v, n)]
    # Regions run in the order of their effects, so no token goes from one to another.
    tokens = [v for v in inputs if v.type == EFFECT]
    inputs = {v: None for v in inputs if v.type != EFFECT}
    outputs = [v for v in outputs if v.type != EFFECT]
    part = Graph(f"{graph.name}_{number}", (v.type for v in inputs))
    mapping = dict(zip(inputs, part.inputs))
    mapping.update((v, part.append(begin, (), {}, [EFFECT]).output) for v in tokens)
    whole = Graph("nodes")
    whole.nodes = list(nodes)
    part.paste(whole, mapping)
    part.outputs = [mapping[v] for v in outputs]
    part.take_facts(graph)
    return Region(backend, part, list(inputs), outputs, list(nodes))
