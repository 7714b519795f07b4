"""What every turn of a loop would compute alike is computed once, before it.

hoist            what depends on constants of a loop only
hoist_literals   arrays leave the graphs they stand in
sink_views       a view that is read as fast as what it would be copied to is made inside
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jitorch.ir.graph import Graph, Node, Value
from jitorch.ops.control import inner_graphs
from jitorch.passes.clean import dce, everywhere
from jitorch.passes.control import CHEAP, add_constant, constants_of

_MAY_FAIL = frozenset(("take", "gather_axis"))


def hoist_literals(graph: Graph) -> bool:
    """Move the literals in inner graphs to ``graph`` itself."""
    return _hoist_each(graph, lambda node, inner: {n for n in inner.nodes if n.op.name == "literal"})


def hoist(graph: Graph) -> bool:
    """Compute what depends on constants of a loop only before the loop; and literals before a branch."""
    return _hoist_each(graph, _invariant)


@everywhere
def sink_views(graph: Graph) -> bool:
    """Make views that a loop gets as operands inside of its graphs, where that saves their copies."""
    changed = False
    for node in graph:
        if node.op.name not in ("while_loop", "scan"):
            continue
        for i in constants_of(node):
            view = None if (value := node.inputs[i]) is None else value.node
            if view is None or not all(_reads_through(view, inner.inputs[i]) for inner in inner_graphs(node)):
                continue
            if any(inner.inputs[i].uses for inner in inner_graphs(node)):
                _sink(node, i, view)
                changed = True
    return changed


def _reads_through(view: Node, inner: Value) -> bool:
    """Whether what reads the operand ``inner`` may as well read what ``view`` shows: a broadcast is less memory that
    way, and matrix products copy what is not laid out for them."""
    if view.op.name == "broadcast_to":
        return True
    return view.op.name == "transpose_axes" and all(map(_is_product, inner.users))


def _is_product(user: Node) -> bool:
    """Whether ``user`` lays out what it reads, or joins it for what does."""
    if user.op.name == "concatenate":
        return all(reader.op.lowering == "recipe" for reader in user.output.users)
    return user.op.lowering == "recipe"


def _sink(node: Node, i: int, view: Node) -> None:
    sources = add_constant(node, view.operands[0])
    for inner, source in zip(inner_graphs(node), sources):
        made = Node(view.op, [source], view.attrs, [view.output.type], view.loc)
        inner.nodes.insert(0, made)
        inner.replace(inner.inputs[i], made.output)


def _hoist_each(graph: Graph, choose: Callable[[Node, Graph], set[Node]]) -> bool:
    changed = False
    nodes: list[Node] = []
    for node in graph:
        for inner in inner_graphs(node):
            changed |= _hoist_each(inner, choose)
            before = _hoist_from(node, inner, choose(node, inner))
            changed |= bool(before)
            nodes += before
        nodes.append(node)
    graph.nodes = nodes
    return changed


def _invariant(node: Node, inner: Graph) -> set[Node]:
    """The nodes of ``inner`` to move: not free, and of constants alone."""
    if node.op.name == "cond":
        return {n for n in inner.nodes if n.op.name == "literal"}
    fixed = {inner.inputs[i] for i in constants_of(node)}
    moved: set[Node] = set()
    for n in inner.nodes:
        if not all(v in fixed for v in n.operands) or not _is_safe(n):
            continue
        fixed.update(n.outputs)
        if n.op.name not in CHEAP and (n.operands or n.op.name == "literal"):
            moved.add(n)
    return moved


def _is_safe(node: Node) -> bool:
    """Whether a node can run where it would not have: a loop may have no turns."""
    if node.op.lowering not in ("scalar", "pull", "reduce", "scan", "recipe") and node.op.name != "literal":
        return False
    return node.op.name not in _MAY_FAIL


def _hoist_from(node: Node, inner: Graph, moved: set[Node]) -> list[Node]:
    """Copies of ``moved``, and of what is cheap and leads to them, to stand before ``node``, which gets the results."""
    crossing = [
        v for n in inner.nodes if n in moved for v in n.outputs
        if v in inner.outputs or any(user not in moved for user in v.users)
    ]  # fmt: skip
    if not crossing:
        return []
    before, mapping = _outside(node, inner, crossing)
    graphs = inner_graphs(node)
    for value in crossing:
        inputs = add_constant(node, mapping[value])
        inner.replace(value, inputs[next(i for i, g in enumerate(graphs) if g is inner)])
    dce(inner)
    return before


def outside(node: Node, inner: Graph, value: Value) -> tuple[Value, list[Node]]:
    """``value``, which depends on constants of ``node`` alone, outside of it; with nodes to stand before the node."""
    before, mapping = _outside(node, inner, [value])
    return mapping[value], before


def _outside(node: Node, inner: Graph, values: Iterable[Value]) -> tuple[list[Node], dict[Value, Value]]:
    """Copies of the nodes that make ``values``, over the operands of ``node``; the value of each value."""
    needed: set[Value] = set(values)
    copied: list[Node] = []
    for n in reversed(inner.nodes):
        if any(v in needed for v in n.outputs):
            copied.append(n)
            needed.update(n.operands)
    shift = 1 if node.op.name == "cond" else 0
    given = {v: node.inputs[i + shift] for i, v in enumerate(inner.inputs)}
    mapping: dict[Value, Value] = {v: x for v, x in given.items() if x is not None}
    part = Graph("invariant")
    part.nodes = copied[::-1]
    before = Graph("before")
    before.paste(part, mapping)
    return before.nodes, mapping
