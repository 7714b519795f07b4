"""Join loops that do the same turns: the loop of a gradient's forward half with the loop that is differentiated.

Two scans over the same operands are one if they carry the same values; two while loops if one carries what the other
does, and more.
"""

from __future__ import annotations

from collections.abc import Sequence

from jitorch.dims import Dim, substitute
from jitorch.ir.graph import Graph, Node, Value, map_dims
from jitorch.passes.clean import cse, dce, everywhere, fold
from jitorch.passes.simplify import simplify


@everywhere
def merge_loops(graph: Graph) -> bool:
    """Join what can be joined, each loop with the first that fits; see the module's docstring."""
    changed = _same_sizes(graph)
    loops: list[Node] = []
    for node in graph:
        if node.op.name not in ("scan", "while_loop"):
            continue
        joined = next((new for other in loops if (new := _join(graph, other, node)) is not None), None)
        if joined is None:
            loops.append(node)
            continue
        loops = [joined if other not in graph.nodes else other for other in loops]
        changed = True
    return changed


def _same_sizes(graph: Graph) -> bool:
    """Sizes bound to one count are one size."""
    first: dict[Value, Node] = {}
    names: dict[str, Dim] = {}
    for node in graph:
        if node.op.name != "steps":
            continue
        known = first.setdefault(node.operands[0], node)
        if known is not node:
            names[str(node.attrs["size"])] = known.attrs["size"]
    if names:
        map_dims(graph, lambda d: substitute(d, names))
        cse(graph)
    return bool(names)


def _join(graph: Graph, first: Node, second: Node) -> Node | None:
    """One loop in the place of two, or None."""
    if first.op is not second.op:
        return None
    join = _join_scans if first.op.name == "scan" else _join_whiles
    return join(graph, first, second)


def _inside(first: Graph, second: Graph) -> tuple[Graph, Sequence[Value], Sequence[Value]]:
    """Both graphs over the inputs of ``first``, equal nodes merged; the outputs of each."""
    joint, _ = first.copy_with_values()
    count = len(joint.outputs)
    other = dict(zip(second.inputs, joint.inputs))
    joint.paste(second, other)
    joint.outputs += [other[v] for v in second.outputs]
    for change in (simplify, fold, cse, dce):
        change(joint)
    return joint, joint.outputs[:count], joint.outputs[count:]


def _replace(graph: Graph, first: Node, second: Node, new: Node, results: Sequence[tuple[Value, Value]]) -> Node:
    """Put ``new`` where ``first`` stands: all operands are known there, as ``second`` has the same."""
    graph.nodes[graph.nodes.index(first)] = new
    graph.nodes.remove(second)
    for old, value in results:
        graph.replace(old, value)
    first.drop()
    second.drop()
    return new


def _join_scans(graph: Graph, first: Node, second: Node) -> Node | None:
    a, b = first.attrs, second.attrs
    if first.inputs != second.inputs or any(a[n] != b[n] for n in ("carried", "stacked", "length", "reverse")):
        return None
    carried = a["carried"]
    body, mine, theirs = _inside(a["body"], b["body"])
    if list(mine[:carried]) != list(theirs[:carried]):
        return None
    outputs = list(dict.fromkeys([*mine[carried:], *theirs[carried:]]))
    body.outputs = [*mine[:carried], *outputs]
    kinds = dict(zip([*mine[carried:], *theirs[carried:]], [*first.outputs[carried:], *second.outputs[carried:]]))
    types = [*(v.type for v in first.outputs[:carried]), *(kinds[v].type for v in outputs)]
    new = Node(first.op, first.inputs, {**a, "body": body}, types, first.loc)
    place = dict(zip(outputs, new.outputs[carried:]))
    results: list[tuple[Value, Value]] = []
    for node, given in ((first, mine), (second, theirs)):
        results += zip(node.outputs[:carried], new.outputs)
        results += [(old, place[v]) for old, v in zip(node.outputs[carried:], given[carried:])]
    return _replace(graph, first, second, new, results)


def _join_whiles(graph: Graph, first: Node, second: Node) -> Node | None:
    if len(second.outputs) < len(first.outputs):
        first, second = second, first
    count, constants = len(first.outputs), first.attrs["constants"]
    more = len(second.outputs) - count
    if second.attrs["constants"] != constants or first.inputs[:count] != second.inputs[:count]:
        return None
    if first.inputs[count:] != second.inputs[count + more :]:
        return None
    wide = {name: _widened(first.attrs[name], count, second.attrs[name]) for name in ("test", "body")}
    _, mine, theirs = _inside(wide["test"], second.attrs["test"])
    if list(mine) != list(theirs):
        return None
    _, mine, theirs = _inside(wide["body"], second.attrs["body"])
    if list(mine) != list(theirs[:count]):
        return None
    _move_constants(graph, first, second)
    extra = second.inputs[count : count + more]
    place = {v: i for i, node in enumerate(graph.nodes) for v in node.outputs}
    at = min(graph.nodes.index(first), graph.nodes.index(second))
    if any(v is not None and place.get(v, -1) >= at for v in extra):
        return None
    attrs = {name: a.copy() if isinstance(a, Graph) else a for name, a in second.attrs.items()}
    new = Node(second.op, second.inputs, attrs, [v.type for v in second.outputs], first.loc)
    results = [*zip(first.outputs, new.outputs), *zip(second.outputs, new.outputs)]
    front, back = (first, second) if graph.nodes[at] is first else (second, first)
    return _replace(graph, front, back, new, results)


def _move_constants(graph: Graph, first: Node, second: Node) -> None:
    """Let constants that start one of the loops stand before both."""
    nodes = {v.node for v in (*first.operands, *second.operands) if v.node is not None and not v.node.inputs}
    at = min(graph.nodes.index(first), graph.nodes.index(second))
    late = [node for node in graph.nodes[at:] if node in nodes]
    if late:
        rest = [node for node in graph.nodes[at:] if node not in nodes]
        graph.nodes[at:] = [*late, *rest]


def _widened(graph: Graph, count: int, like: Graph) -> Graph:
    """``graph`` with the further carried inputs that ``like`` has, unread."""
    new = graph.copy()
    added = [new.add_input(v.type) for v in like.inputs[count : count + len(like.inputs) - len(graph.inputs)]]
    own = new.inputs[: len(graph.inputs)]
    new.inputs = [*own[:count], *added, *own[count:]]
    new.input_names = []
    for i, value in enumerate(new.inputs):
        value.index = i
    return new
