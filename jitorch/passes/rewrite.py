"""Rewrites: a named function with its pattern in the decorator.

    @rewrite(P(mul, V("x"), C(1)))
    def multiply_by_one(x):
        return x

The function is written over tensors; what it returns replaces the matched node and is type-checked.
It returns ``None`` to decline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jitorch.builder import GraphBuilder
from jitorch.errors import CompilerBug
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.op import Op
from jitorch.ops import OPS, dispatch


@dataclass(frozen=True)
class V:
    """A pattern variable: matches any value; the same name must match the same value."""

    name: str


@dataclass(frozen=True)
class C:
    """Matches a constant of this value, however it was broadcast or cast."""

    value: float


@dataclass(frozen=True, init=False, eq=False)
class P:
    """Matches a node: its op, its operands, and attributes by value or by variable."""

    op: Op
    operands: tuple[Any, ...]
    attrs: dict[str, Any]

    def __init__(self, op: Op, *operands: Any, **attrs: Any):
        object.__setattr__(self, "op", op)
        object.__setattr__(self, "operands", operands)
        object.__setattr__(self, "attrs", attrs)


@dataclass
class Rule:
    name: str
    pattern: P
    build: Callable[..., Any]


@dataclass
class RuleSet:
    """Rules by the op at their root."""

    rules: dict[Op, list[Rule]] = field(default_factory=dict)

    def rewrite(self, pattern: P) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def register(build: Callable[..., Any]) -> Callable[..., Any]:
            self.rules.setdefault(pattern.op, []).append(Rule(build.__name__, pattern, build))
            return build

        return register

    def apply(self, graph: Graph) -> bool:
        """Rewrite every node that a rule matches, once over; says whether any did."""
        return rewrite_nodes(graph, self._first_match, self._matches)

    def _matches(self, node: Node) -> bool:
        return any(_match_node(rule.pattern, node, {}) for rule in self.rules.get(node.op, ()))

    def _first_match(self, node: Node, builder: GraphBuilder) -> Any:
        for rule in self.rules.get(node.op, ()):
            bound: dict[str, Any] = {}
            if not _match_node(rule.pattern, node, bound):
                continue
            arguments = {k: builder.wrap(v) if isinstance(v, Value) else v for k, v in bound.items()}
            result = rule.build(**arguments)
            if result is not None:
                return result
        return None


def constant_of(value: Value) -> Any:
    """The Python number that every element of ``value`` is, or None."""
    while value.node is not None and value.node.op.name in ("broadcast_to", "cast", "reshape_to", "copy"):
        source = value.node.inputs[0]
        if source is None:
            return None
        value = source
    if value.node is not None and value.node.op.name in ("constant", "number"):
        return value.node.attrs["value"]
    return None


def _match(pattern: Any, value: Value, bound: dict[str, Any]) -> bool:
    if isinstance(pattern, V):
        return bound.setdefault(pattern.name, value) is value
    if isinstance(pattern, C):
        found = constant_of(value)
        return found is not None and found == pattern.value
    return value.node is not None and value.node.op is pattern.op and _match_node(pattern, value.node, bound)


def _match_node(pattern: P, node: Node, bound: dict[str, Any]) -> bool:
    if len(pattern.operands) != len(node.inputs):
        return False
    for sub, value in zip(pattern.operands, node.inputs):
        if value is None or not _match(sub, value, bound):
            return False
    for name, expected in pattern.attrs.items():
        actual = node.attrs[name]
        if isinstance(expected, V):
            if bound.setdefault(expected.name, actual) != actual:
                return False
        elif actual != expected:
            return False
    return True


def rewrite_nodes(
    graph: Graph,
    replacement: Callable[[Node, GraphBuilder], Any],
    is_offered: Callable[[Node], bool] = lambda node: True,
) -> bool:
    """Offer nodes to ``replacement``; where it gives a tensor (or tuple), that replaces the outputs."""
    nodes: list[Node] = []
    changed = False
    for node in graph:
        if not is_offered(node):
            nodes.append(node)
            continue
        scratch = Graph("rewrite")
        builder = GraphBuilder(scratch)
        token = dispatch.set_grad_enabled_flag(False)
        try:
            with dispatch.interpreting(builder):
                result = replacement(node, builder)
                new = (
                    None
                    if result is None
                    else [builder.lift(r) for r in (result if isinstance(result, tuple) else (result,))]
                )
        finally:
            dispatch.reset_grad_enabled(token)
        if new is None:
            nodes.append(node)
            for unused in reversed(scratch.nodes):
                unused.drop()
            continue
        for inserted in scratch.nodes:
            inserted.loc = inserted.loc or node.loc
        nodes.extend(scratch.nodes)
        for old, value in zip(node.outputs, new, strict=True):
            if value is None:
                raise CompilerBug(f"a rewrite of {node.op.name} gave no value", ir=graph)
            graph.replace(old, value)
        node.drop()
        changed = True
    graph.nodes = nodes
    return changed


def op(name: str) -> Op:
    """An op by name, for patterns."""
    return OPS[name]
