"""Transforms: graphs run with another meaning of a value.

A transform says what an op does to values of its own kind, such as pairs of a primal and a tangent (`jvp`) or tensors
with a batch axis (`vmap`).  Whatever it computes, it computes by ops of the interpreter in force: run under a graph
builder it gives a new graph, under eager results, under the tape something that can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from jitorch.builder import GraphBuilder
from jitorch.ir.graph import Graph, Value
from jitorch.ir.op import Op
from jitorch.ops import dispatch


class Transform(Protocol):
    """What a graph means to values of another kind."""

    def apply(self, op: Op, values: Sequence[Any], attrs: dict[str, Any]) -> tuple[Any, ...]:
        """The results of ``op``; an absent operand is None."""
        ...


def apply(op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> tuple[Any, ...]:
    """Run ``op`` by the interpreter in force; always gives a tuple."""
    # Each node has inner graphs of its own: passes change them in place.
    owned = {name: a.copy() if isinstance(a, Graph) else a for name, a in attrs.items()}
    out = dispatch.current().apply(op, operands, owned)
    return out if isinstance(out, tuple) else (out,)


def run(graph: Graph, transform: Transform, values: Sequence[Any], stopped: Collection[Value] = ()) -> list[Any]:
    """The outputs of ``graph`` for ``values``; what computes values that are ``stopped`` is not recorded."""
    found: dict[Value, Any] = dict(zip(graph.inputs, values, strict=True))
    for node in graph.nodes:
        operands = [None if v is None else found[v] for v in node.inputs]
        recorded = dispatch.is_grad_enabled() and not any(v in stopped for v in node.outputs)
        token = dispatch.set_grad_enabled_flag(recorded)
        try:
            found.update(zip(node.outputs, transform.apply(node.op, operands, node.attrs), strict=True))
        finally:
            dispatch.reset_grad_enabled(token)
    return [found[v] for v in graph.outputs]


class Building:
    """A graph under construction, for transforms that give one: ``with Building(name) as b: b.add(type)``."""

    def __init__(self, name: str):
        self.graph = Graph(name)
        self.builder = GraphBuilder(self.graph)

    def __enter__(self) -> Building:
        self._tokens = dispatch.set_grad_enabled_flag(False), dispatch.enter(self.builder)
        return self

    def __exit__(self, *exc: object) -> None:
        grad, entered = self._tokens
        dispatch.leave(entered)
        dispatch.reset_grad_enabled(grad)

    def add(self, type_: Any, name: str | None = None) -> Any:
        """One more input, as what stands for it."""
        return self.builder.wrap(self.graph.add_input(type_, name))

    def finish(self, results: Sequence[Any]) -> Graph:
        """The graph, with ``results`` as its outputs."""
        self.graph.outputs = [v for r in results if (v := self.builder.lift(r)) is not None]
        return self.graph
