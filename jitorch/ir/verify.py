"""The verifier: checks the rules of the graph language and names the node that breaks one."""

from __future__ import annotations

from typing import Any

from jitorch.dims import Symbol, SymDim
from jitorch.dtypes import DType
from jitorch.errors import UserError, VerifyError
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.literal import Literal
from jitorch.ir.printer import is_symbol_name, mentioned_symbols
from jitorch.ir.types import ArrayType, Type

_ATTRIBUTES = (bool, int, float, complex, str, type(None), DType, SymDim, Literal, Type, Graph)


def verify(graph: Graph) -> Graph:
    """Raise `VerifyError` unless ``graph`` is well formed; returns it.

    Checked: values are defined before use and belong to this graph, use lists agree with inputs,
    operands are as many as the op takes, attributes are exactly those of the op and have a text, types
    are what the op's type rule says, a size's name stands for one symbol, written inputs have their
    output's type.  Graphs in attributes are checked likewise.
    """
    defined: set[Value] = set(graph.inputs)
    if len(defined) != len(graph.inputs):
        raise VerifyError(f"graph {graph.name}: an input appears twice", ir=graph)
    with graph.assumed():
        for node in graph.nodes:
            _verify_node(graph, node, defined)
            defined.update(node.outputs)
    for value in graph.outputs:
        if value not in defined:
            raise VerifyError(f"graph {graph.name}: returns a value that it does not define", ir=graph)
    # First, so that a graph that captures a value is named rather than the value's use.
    for inner in graph.subgraphs():
        verify(inner)
    _verify_uses(graph, defined)
    _verify_symbols(graph)
    _verify_writes(graph)
    return graph


def _verify_uses(graph: Graph, defined: set[Value]) -> None:
    nodes = set(graph.nodes)
    for value in defined:
        for user, i in value.uses:
            if user not in nodes or i >= len(user.inputs) or user.inputs[i] is not value:
                raise VerifyError(f"graph {graph.name}: stale use of {value!r} by {user.op.name}", ir=graph)


def _verify_symbols(graph: Graph) -> None:
    known: dict[str, Symbol] = {}
    for symbol in mentioned_symbols(graph):
        if not is_symbol_name(symbol.name):
            raise VerifyError(f"graph {graph.name}: a size cannot be called {symbol.name!r}", ir=graph)
        if known.setdefault(symbol.name, symbol) != symbol:
            raise VerifyError(f"graph {graph.name}: {symbol.name} stands for two sizes", ir=graph)


def _verify_writes(graph: Graph) -> None:
    for i, o in graph.writes:
        if not (0 <= i < len(graph.inputs) and 0 <= o < len(graph.outputs)):
            raise VerifyError(f"graph {graph.name}: no output {o} or no input {i} to replace by it", ir=graph)
        if graph.inputs[i].type != graph.outputs[o].type:
            raise VerifyError(
                f"graph {graph.name}: output {o} cannot replace input {i}",
                expected=graph.inputs[i].type, actual=graph.outputs[o].type, ir=graph,
            )  # fmt: skip


def _verify_node(graph: Graph, node: Node, defined: set[Value]) -> None:
    name = node.op.name
    for i, value in enumerate(node.inputs):
        if value is None:
            continue
        if value not in defined:
            raise VerifyError(f"{name}: operand {i} is not defined before its use", ir=graph)
        if (node, i) not in value.uses:
            raise VerifyError(f"{name}: operand {i} does not know of this use", ir=graph)
    for i, value in enumerate(node.outputs):
        if value in defined:
            raise VerifyError(f"{name}: is in the graph twice", ir=graph)
        if value.node is not node or value.index != i:
            raise VerifyError(f"{name}: output {i} does not know its node", ir=graph)
    _verify_arguments(graph, node)
    _verify_types(graph, node)


def _verify_arguments(graph: Graph, node: Node) -> None:
    op = node.op
    least = len(op.operands) - (op.variadic is not None)
    if len(node.inputs) < least or (op.variadic is None and len(node.inputs) > least):
        raise VerifyError(f"{op.name}: wrong number of operands", expected=least, actual=len(node.inputs), ir=graph)
    expected = {p.name for p in op.attrs}
    if set(node.attrs) != expected:
        raise VerifyError(
            f"{op.name}: wrong attributes", expected=sorted(expected), actual=sorted(node.attrs), ir=graph
        )  # fmt: skip
    for key, value in node.attrs.items():
        if not _is_attribute(value):
            raise VerifyError(f"{op.name}: attribute {key} is a {type(value).__name__}, which has no text")


def _is_attribute(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_attribute, value))
    return isinstance(value, _ATTRIBUTES)


def _verify_types(graph: Graph, node: Node) -> None:
    if "type" not in node.op.rules:
        return
    name = node.op.name
    try:
        types = result_types(node.op.rules["type"], node)
    except UserError as error:
        raise VerifyError(f"{name}: its type rule refuses its operands: {error.what}", ir=graph) from error
    actual = tuple(v.type for v in node.outputs)
    if types != actual:
        raise VerifyError(
            f"{name}: wrong result type", expected=_listed(types), actual=_listed(actual), ir=graph
        )  # fmt: skip


def _listed(types: tuple[Type, ...]) -> str:
    return ", ".join(map(str, types)) or "nothing"


def result_types(rule: object, node: Node) -> tuple[Type, ...]:
    """What a type rule says about the outputs of ``node``."""
    types: list[ArrayType | None] = [None if v is None else v.type for v in node.inputs]  # type: ignore[misc]
    result = rule(*node.op.group(types), **node.attrs)  # type: ignore[operator]
    return result if isinstance(result, tuple) else (result,)
