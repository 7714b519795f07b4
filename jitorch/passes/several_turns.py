"""Several turns of a scan as one, where a turn is a little arithmetic on elements.

    for t in 40: x = f(x)     ->     for t in 5: x = f(f(f(f(f(f(f(f(x))))))))

Each turn of a loop goes over the memory of what it carries.  One kernel of several turns keeps it in registers in
between.
"""

from __future__ import annotations

from typing import Any

from jitorch.builder import graph_of
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.types import ScalarType, TensorType
from jitorch.ops.structure import reshape_to, slice_axes
from jitorch.passes.clean import everywhere

MOST_TURNS = 8
MOST_OPERATIONS = 128
"""Of all turns that become one."""

_FREE = frozenset({"broadcast_to", "constant", "number", "number_of", "reshape_to"})
"""Besides arithmetic, what a turn may have in it: it costs nothing where it is read."""


@everywhere
def merge_turns(graph: Graph) -> bool:
    """Make several turns of scans one; see the module's docstring."""
    changed = False
    for node in graph:
        turns = _turns(node) if node.op.name == "scan" else 1
        if turns > 1:
            _merge(graph, node, turns)
            changed = True
    return changed


def _turns(node: Node) -> int:
    """How many turns of a scan to make one."""
    body, length, carried = node.attrs["body"], node.attrs["length"], node.attrs["carried"]
    if type(length) is not int or node.attrs["reverse"] or len(body.outputs) > carried:
        return 1
    shapes = {v.type.shape for v, o in zip(body.inputs, body.outputs) if v is not o and isinstance(v.type, TensorType)}
    if len(shapes) != 1 or not all(map(_is_small, body.nodes)):
        return 1
    operations = sum(inner.op.lowering == "scalar" for inner in body.nodes)
    return next(
        (n for n in range(MOST_TURNS, 1, -1) if length % n == 0 and n * operations <= MOST_OPERATIONS and n < length), 1
    )


def _is_small(node: Node) -> bool:
    return (node.op.lowering == "scalar" or node.op.name in _FREE) and all(
        isinstance(v.type, (TensorType, ScalarType)) for v in node.outputs
    )


def _merge(graph: Graph, node: Node, turns: int) -> None:
    body: Graph = node.attrs["body"]
    carried, end = node.attrs["carried"], node.attrs["carried"] + node.attrs["stacked"]
    length = node.attrs["length"] // turns
    stacks = [_inserted(graph, node, _grouped, v, length=length, turns=turns) for v in node.operands[carried:end]]
    types = [v.type for v in (*node.operands[:carried], *node.operands[end:])]
    merged = Graph(body.name, types[:carried])
    rows = [merged.add_input(s.type.with_shape(s.type.shape[1:])) for s in stacks]  # type: ignore[union-attr]
    constants = [merged.add_input(t) for t in types[carried:]]
    state: list[Value] = merged.inputs[:carried]
    for turn in range(turns):
        now = [_appended(merged, _row, v, turn=turn) for v in rows]
        mapping = dict(zip(body.inputs, [*state, *now, *constants], strict=True))
        merged.paste(body, mapping)
        state = [mapping[v] for v in body.outputs]
    merged.outputs = state
    for i, v in enumerate(stacks):
        node.set_input(carried + i, v)
    node.attrs = {**node.attrs, "body": merged, "length": length}


def _grouped(stack: Any, *, length: int, turns: int) -> Any:
    return reshape_to(stack, shape=(length, turns, *stack.shape[1:]))


def _row(group: Any, *, turn: int) -> Any:
    rest = group.shape[1:]
    part = slice_axes(
        group, starts=(turn, *(0,) * len(rest)), stops=(turn + 1, *rest), steps=(1,) * (len(rest) + 1)
    )  # fmt: skip
    return reshape_to(part, shape=rest)


def _appended(graph: Graph, function: Any, operand: Value, **attrs: int) -> Value:
    """Append ``function`` of a tensor to ``graph``; its value."""
    part = graph_of(lambda x: function(x, **attrs), [operand.type])
    mapping = dict(zip(part.inputs, [operand]))
    graph.paste(part, mapping)
    return mapping[part.outputs[0]]


def _inserted(graph: Graph, node: Node, function: Any, operand: Value, **attrs: int) -> Value:
    """The same, in front of ``node``."""
    scratch = Graph("before")
    value = _appended(scratch, function, operand, **attrs)
    at = graph.nodes.index(node)
    graph.nodes[at:at] = scratch.nodes
    return value
