"""The verifier: checks the rules of the graph language and names the node that breaks one."""

from __future__ import annotations

from jitorch.errors import UserError, VerifyError
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.types import ArrayType, Type


def verify(graph: Graph) -> Graph:
    """Raise `VerifyError` unless ``graph`` is well formed; returns it.

    Checked: values are defined before use and belong to this graph, use lists agree with inputs,
    attributes are exactly those of the op, types are what the op's type rule says, written inputs
    have their output's type.
    """
    defined: set[Value] = set(graph.inputs)
    if len(defined) != len(graph.inputs):
        raise VerifyError(f"graph {graph.name}: an input appears twice", ir=graph)
    for node in graph.nodes:
        _verify_node(graph, node, defined)
        defined.update(node.outputs)
    for value in graph.outputs:
        if value not in defined:
            raise VerifyError(f"graph {graph.name}: returns a value that it does not define", ir=graph)
    nodes = set(graph.nodes)
    for value in defined:
        for user, i in value.uses:
            if user not in nodes or user.inputs[i] is not value:
                raise VerifyError(f"graph {graph.name}: stale use of {value!r} by {user.op.name}", ir=graph)
    for i, o in graph.writes:
        if graph.inputs[i].type != graph.outputs[o].type:
            raise VerifyError(
                f"graph {graph.name}: output {o} cannot replace input {i}",
                expected=graph.inputs[i].type, actual=graph.outputs[o].type, ir=graph,
            )  # fmt: skip
    for inner in graph.subgraphs():
        verify(inner)
    return graph


def _verify_node(graph: Graph, node: Node, defined: set[Value]) -> None:
    name = node.op.name
    for i, value in enumerate(node.inputs):
        if value is None:
            continue
        if value not in defined:
            raise VerifyError(f"{name}: operand {i} is not defined before its use", ir=graph)
        if (node, i) not in value.uses:
            raise VerifyError(f"{name}: operand {i} does not know of this use", ir=graph)
    expected = {p.name for p in node.op.attrs}
    if set(node.attrs) != expected:
        raise VerifyError(f"{name}: wrong attributes", expected=sorted(expected), actual=sorted(node.attrs), ir=graph)
    rule = node.op.rules.get("type")
    if rule is None:
        return
    try:
        types = result_types(node.op.rules["type"], node)
    except UserError as error:
        raise VerifyError(f"{name}: its type rule refuses its operands: {error.what}", ir=graph) from error
    actual = tuple(v.type for v in node.outputs)
    if types != actual:
        raise VerifyError(f"{name}: wrong result type", expected=types, actual=actual, ir=graph)


def result_types(rule: object, node: Node) -> tuple[Type, ...]:
    types: list[ArrayType | None] = [None if v is None else v.type for v in node.inputs]  # type: ignore[misc]
    result = rule(*node.op.group(types), **node.attrs)  # type: ignore[operator]
    return result if isinstance(result, tuple) else (result,)
