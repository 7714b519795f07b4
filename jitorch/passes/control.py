"""Passes over branches and loops: what they need not carry, give or compute again each turn.

prune            results nobody uses, operands nothing reads, carried values that never change
sink_constants   constants that are cheap to make are made inside, where they can be folded
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count
from typing import Any

from jitorch.dims import Dim, Symbol, substitute, symbol, symbols
from jitorch.ir.graph import Graph, Node, Value, map_dims
from jitorch.ir.types import TensorType
from jitorch.ops.control import CONTROL, has_effect, inner_graphs
from jitorch.passes.clean import dce, everywhere

CHEAP = frozenset(
    "broadcast_to reshape_to transpose_axes slice_axes flip_axes constant number iota size_of cast copy detach "
    "number_of".split()
)
"""Ops that cost nothing where they are read."""


def is_control(node: Node) -> bool:
    """Whether a node holds graphs."""
    return node.op.name in CONTROL


def constants_of(node: Node) -> range:
    """The operands, as positions among the inputs of the inner graphs, that no turn changes."""
    total = len(node.inputs)
    match node.op.name:
        case "cond":
            return range(total - 1)
        case "while_loop":
            return range(total - node.attrs["constants"], total)
    return range(node.attrs["carried"] + node.attrs["stacked"], total)


def add_constant(node: Node, value: Value) -> list[Value]:
    """Give a control node one more operand that does not change; it as an input of each inner graph."""
    node.add_input(value)
    if node.op.name == "while_loop":
        node.attrs["constants"] += 1
    return [graph.add_input(value.type) for graph in inner_graphs(node)]


def binders(graph: Graph) -> list[Node]:
    """The nodes that bind sizes while ``graph`` runs: those that no input has."""
    nodes = [node for node in graph.nodes if node.op.name == "steps"]
    known = set(graph.symbols) if nodes else set()
    return [node for node in nodes if not known.issuperset(symbols(node.attrs["size"]))]


def bound_sizes(graph: Graph) -> set[Symbol]:
    """The sizes that nodes of ``graph`` bind: what has them needs memory of a size that is not known beforehand."""
    return {s for node in binders(graph) for s in symbols(node.attrs["size"])}


def has_size(value: Value, sizes: Collection[Symbol]) -> bool:
    """Whether the type of ``value`` mentions one of ``sizes``."""
    return isinstance(value.type, TensorType) and any(s in sizes for d in value.type.shape for s in symbols(d))


def gives_bound_sizes(graph: Graph) -> bool:
    """Whether a result has a size that a node of ``graph`` binds."""
    bound = bound_sizes(graph)
    return any(has_size(v, bound) for v in graph.outputs)


def name_bound_sizes(graph: Graph) -> bool:
    """Call the sizes that nodes bind ``count0``, ``count1``, ... in order: equal graphs have equal texts."""
    names: dict[str, Dim] = {}
    taken = {s.name for s in graph.symbols}
    _name_bound(graph, names, taken)
    if all(name == str(new) for name, new in names.items()):
        return False
    map_dims(graph, lambda d: substitute(d, names))
    return True


def _name_bound(graph: Graph, names: dict[str, Dim], taken: set[str]) -> None:
    bound = set(binders(graph))
    for node in graph.nodes:
        if node in bound:
            number = next(i for i in count(len(names)) if f"count{i}" not in taken)
            taken.add(f"count{number}")
            names[str(node.attrs["size"])] = symbol(f"count{number}", computed=True)
        for inner in inner_graphs(node):
            _name_bound(inner, names, taken)


def strip_checks(graph: Graph) -> bool:
    """Take the checks out, here and in inner graphs: what is computed again need not be checked again."""
    changed = False
    for node in graph:
        for inner in inner_graphs(node):
            changed |= strip_checks(inner)
        if node.op.name == "check":
            graph.replace(node.output, node.operands[1])
            graph.nodes.remove(node)
            node.drop()
            changed = True
    return changed


# -- constants -------------------------------------------------------------------------------------------------
@everywhere
def sink_constants(graph: Graph) -> bool:
    """Make constants that a control node gets as operands inside of its graphs."""
    changed = False
    for node in graph:
        if not is_control(node):
            continue
        shift = 1 if node.op.name == "cond" else 0
        for i in constants_of(node):
            value = node.inputs[i + shift]
            nodes = None if value is None else _constant_nodes(value)
            if nodes is None or value is None:
                continue
            for inner in inner_graphs(node):
                if inner.inputs[i].uses or inner.inputs[i] in inner.outputs:
                    _make_inside(inner, inner.inputs[i], value, nodes)
                    changed = True
    return changed


def _constant_nodes(value: Value) -> list[Node] | None:
    """The nodes that make ``value`` of nothing, in order, if all of them are cheap."""
    node = value.node
    if node is None or node.op.name not in CHEAP:
        return None
    found: dict[Node, None] = {}
    for operand in node.operands:
        before = _constant_nodes(operand)
        if before is None:
            return None
        found.update(dict.fromkeys(before))
    return [*found, node]


def _make_inside(inner: Graph, old: Value, value: Value, nodes: Sequence[Node]) -> None:
    first = Graph("constants")
    first.nodes = list(nodes)
    scratch = Graph("inside")
    mapping: dict[Value, Value] = {}
    scratch.paste(first, mapping)
    inner.nodes[:0] = scratch.nodes
    inner.replace(old, mapping[value])


# -- what is not needed ----------------------------------------------------------------------------------------
@everywhere
def prune(graph: Graph) -> bool:
    """Let control nodes take, carry and give no more than is used."""
    changed = False
    while _prune_once(graph):
        changed = True
    return changed | (dce(graph) if changed else False)


def _prune_once(graph: Graph) -> bool:
    changed = False
    for node in reversed(tuple(graph.nodes)):
        if is_control(node):
            changed |= (
                _fix_unchanged(graph, node)
                or _join_equal(graph, node)
                or _drop_results(graph, node)
                or _drop_operands(graph, node)
            )
    return changed


def _is_used(graph: Graph, value: Value) -> bool:
    return bool(value.uses) or value in graph.outputs


def _replace_node(
    graph: Graph, node: Node, inputs: Sequence[Value | None], attrs: dict[str, Any], kept: Sequence[int]
) -> None:
    """Put a node with other operands in the place of ``node``; it gives only the results ``kept``."""
    new = Node(node.op, inputs, attrs, [node.outputs[i].type for i in kept], node.loc)
    for i, value in zip(kept, new.outputs):
        graph.replace(node.outputs[i], value)
    graph.nodes[graph.nodes.index(node)] = new
    node.drop()


def _fix_unchanged(graph: Graph, node: Node) -> bool:
    """A value that a loop carries and gives on as it is becomes a constant."""
    if node.op.name == "cond":
        return False
    body: Graph = node.attrs["body"]
    carried = len(node.outputs) if node.op.name == "while_loop" else node.attrs["carried"]
    same = [i for i in range(carried) if body.outputs[i] is body.inputs[i]]
    if not same:
        return False
    others = [i for i in range(carried) if i not in same]
    for i in same:
        operand = node.inputs[i]
        if operand is not None:
            graph.replace(node.outputs[i], operand)
    order = [*others, *range(carried, len(node.inputs)), *same]
    attrs = dict(node.attrs)
    for inner in inner_graphs(node):
        inner.inputs = [inner.inputs[i] for i in order]
        inner.input_names = []
        _renumber(inner)
    body.outputs = [body.outputs[i] for i in others] + body.outputs[carried:]
    if node.op.name == "while_loop":
        attrs["constants"] += len(same)
    else:
        attrs["carried"] -= len(same)
    kept = [*others, *range(carried, len(node.outputs))]
    _replace_node(graph, node, [node.inputs[i] for i in order], attrs, kept)
    return True


def _renumber(graph: Graph) -> None:
    for i, value in enumerate(graph.inputs):
        value.index = i


def _join_equal(graph: Graph, node: Node) -> bool:
    """Values that a loop carries, or stacks, twice are one: they begin alike and go on alike."""
    if node.op.name == "cond":
        return False
    body: Graph = node.attrs["body"]
    carried = len(node.outputs) if node.op.name == "while_loop" else node.attrs["carried"]
    first: dict[Any, int] = {}
    changed = False
    for i, value in enumerate(body.outputs):
        known = first.setdefault((value, node.inputs[i] if i < carried else carried), i)
        if known == i or not (_is_used(graph, node.outputs[i]) or (i < carried and _is_read(node, i))):
            continue
        graph.replace(node.outputs[i], node.outputs[known])
        if i < carried:
            for inner in inner_graphs(node):
                inner.inputs[i].replace_all_uses_with(inner.inputs[known])
        changed = True
    return changed


def _is_read(node: Node, i: int) -> bool:
    return any(inner.inputs[i].uses for inner in inner_graphs(node))


def _drop_results(graph: Graph, node: Node) -> bool:
    """Leave out results nobody uses; what a loop carries only for itself goes too."""
    unused = [i for i, v in enumerate(node.outputs) if not _is_used(graph, v)]
    if not unused or len(unused) == len(node.outputs):
        return False
    if node.op.name == "cond":
        kept = [i for i in range(len(node.outputs)) if i not in unused]
        for inner in inner_graphs(node):
            inner.outputs = [inner.outputs[i] for i in kept]
            dce(inner)
        _replace_node(graph, node, node.inputs, dict(node.attrs), kept)
        return True
    body: Graph = node.attrs["body"]
    carried = len(node.outputs) if node.op.name == "while_loop" else node.attrs["carried"]
    gone = _not_needed(node, body, carried, set(unused))
    if not gone:
        return False
    kept = [i for i in range(len(node.outputs)) if i not in gone]
    attrs = dict(node.attrs)
    inputs = [v for i, v in enumerate(node.inputs) if i not in gone or i >= carried]
    body.outputs = [body.outputs[i] for i in kept]
    for inner in inner_graphs(node):
        dce(inner)
        inner.inputs = [v for i, v in enumerate(inner.inputs) if i not in gone or i >= carried]
        inner.input_names = []
        _renumber(inner)
    if node.op.name == "scan":
        attrs["carried"] -= sum(i < carried for i in gone)
    _replace_node(graph, node, inputs, attrs, kept)
    return True


def _not_needed(node: Node, body: Graph, carried: int, unused: set[int]) -> set[int]:
    """Those of the ``unused`` results that no used one, no test and no check depends on."""
    needed = {i for i in range(len(node.outputs)) if i not in unused}
    if node.op.name == "while_loop":
        test: Graph = node.attrs["test"]
        needed |= {i for i in range(carried) if i in _inputs_behind(test, test.outputs)}
    while True:
        behind = _inputs_behind(body, [body.outputs[i] for i in needed])
        more = {i for i in behind if i < carried} - needed
        if not more:
            return unused - needed
        needed |= more


def _inputs_behind(graph: Graph, values: Sequence[Value]) -> set[int]:
    """The positions of the inputs that ``values``, and the checks of ``graph``, depend on."""
    needed: set[Value] = set(values)
    for node in reversed(graph.nodes):
        if any(v in needed for v in node.outputs) or has_effect(node):
            needed.update(node.operands)
    return {i for i, v in enumerate(graph.inputs) if v in needed}


def _drop_operands(graph: Graph, node: Node) -> bool:
    """Leave out constants and stacked operands that no inner graph reads."""
    shift = 1 if node.op.name == "cond" else 0
    graphs = inner_graphs(node)
    first = node.attrs["carried"] if node.op.name == "scan" else constants_of(node).start
    candidates = range(first, len(node.inputs) - shift)
    unread = {i for i in candidates if not any(_is_used(g, g.inputs[i]) for g in graphs)}
    # The length of a loop over a size that a node binds comes with an operand.
    unread = {i for i in unread if not _binds(node, i)}
    if not unread:
        return False
    for inner in graphs:
        inner.inputs = [v for i, v in enumerate(inner.inputs) if i not in unread]
        inner.input_names = []
        _renumber(inner)
    attrs = dict(node.attrs)
    if node.op.name == "while_loop":
        attrs["constants"] -= len(unread)
    elif node.op.name == "scan":
        end = node.attrs["carried"] + node.attrs["stacked"]
        attrs["stacked"] -= sum(i < end for i in unread)
    inputs = [v for i, v in enumerate(node.inputs) if i - shift not in unread]
    _replace_node(graph, node, inputs, attrs, range(len(node.outputs)))
    return True


def _binds(node: Node, i: int) -> bool:
    value = node.inputs[i]
    return node.op.name == "scan" and value is not None and value.node is not None and value.node.op.name == "steps"
