"""Graphs within graphs: the builder of a trace that goes into the bodies of branches and loops.

While a body is traced, its nodes go to a graph of its own, in which they use values of the graphs around it freely.
`close` makes such a graph a closed one: what it uses from outside becomes its inputs.

A tensor from outside that the body did not write is read *outside* of it, so what is in the body only depends on
values that some tensor stands for: that tensor, with its history, is the operand of the control-flow node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jitorch.builder import Cell, GraphBuilder, TracedToken
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.op import Op
from jitorch.ir.types import EFFECT, Type
from jitorch.ops import OPS
from jitorch.ops.control import has_effect
from jitorch.tensor import Storage, Tensor

_COPIED = frozenset(("number", "constant"))
"""Ops that a body has copies of rather than their values from outside."""

Cells = dict[Storage, tuple[Value, int, dict[Any, Value]]]


@dataclass(eq=False)
class Level:
    """One body being traced: its graph, and what memory held when it began."""

    graph: Graph
    start: Cells = field(default_factory=dict)


class NestedBuilder(GraphBuilder):
    """A builder with a stack of levels; level 0 is the graph of the whole trace."""

    roots: dict[Storage, Any]

    def __init__(self, graph: Graph):
        super().__init__(graph, locations=True)
        self.root_graph = graph
        self.levels = [Level(graph)]
        self.depth = 0
        self.token: Value | None = None
        self.first_token: Value | None = None
        self.carriers: dict[Value, Tensor] = {}
        self.stopped: set[Value] = set()  # results without gradient though an operand requires it

    def _reached(self) -> Iterable[Graph]:
        return (level.graph for level in self.levels[: self.depth + 1])

    # -- levels ----------------------------------------------------------------------------------
    @contextmanager
    def at(self, depth: int) -> Iterator[None]:
        """Append to the graph of the level ``depth`` in this block."""
        old = self.depth, self.graph
        self.depth, self.graph = depth, self.levels[depth].graph
        try:
            yield
        finally:
            self.depth, self.graph = old

    @contextmanager
    def inside(self, level: Level) -> Iterator[None]:
        """Append to ``level``, one below the present one, in this block."""
        old = self.levels
        self.levels = [*old[: self.depth + 1], level]
        try:
            with self.at(self.depth + 1):
                yield
        finally:
            self.levels = old

    def home(self, tensor: Tensor) -> int:
        """The outermost level at which the tensor has the value it has now."""
        cell, storage, depth = self.cell(tensor), tensor._storage, self.depth
        while depth > 0 and self._is_untouched(cell, storage, self.levels[depth]):
            depth -= 1
        return depth

    def _is_untouched(self, cell: Cell, storage: Storage, level: Level) -> bool:
        known = level.start.get(storage)
        if known is not None:
            return known[1] == cell.version
        return storage in self.roots and cell.version == 0

    def value(self, tensor: Tensor) -> Value:
        depth = self.home(tensor)
        if depth == self.depth:
            return super().value(tensor)
        with self.at(depth):
            found = super().value(tensor)
        self.carriers[found] = tensor
        return found

    def view(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """A view is made where its source is."""
        with self.at(self.home(operands[0])):
            return super().apply(op, operands, attrs)

    # -- memory ----------------------------------------------------------------------------------
    def save(self) -> Cells:
        """What all memory holds now."""
        return {s: (c.value, c.version, dict(c.views)) for s, c in self.cells.items()}

    def put_back(self, saved: Cells) -> None:
        for storage, cell in self.cells.items():
            known = saved.get(storage)
            if known is not None:
                cell.value, cell.version, cell.views = known[0], known[1], dict(known[2])
            elif storage in self.roots:
                cell.value, cell.version, cell.views = self.stored_value(storage), 0, {}

    def stored_value(self, storage: Storage) -> Value:
        """What a stored tensor's memory held when the trace began."""
        return self.root_graph.inputs[self.roots[storage].number]

    def current_token(self) -> Value:
        """The effect token at this point."""
        if self.token is None:
            with self.at(0):
                if self.first_token is None:
                    self.first_token = self.graph.append(OPS["begin"], (), {}, (EFFECT,)).output
            self.token = self.first_token
        return self.token

    def check(self, ok: Any, code: int = 0) -> None:
        """Record that the program stops unless ``ok`` holds."""
        token = OPS["check"](ok, TracedToken(self.current_token()), code=code)
        self.token = token._value

    # -- closing ---------------------------------------------------------------------------------
    def needed(self, graph: Graph, outputs: Sequence[Value]) -> list[Node]:
        """The nodes that the outputs and the checks of an open graph need."""
        wanted = set(outputs)
        found: list[Node] = []
        for node in reversed(graph.nodes):
            if has_effect(node) or any(v in wanted for v in node.outputs):
                found.append(node)
                wanted.update(node.operands)
        return found[::-1]

    def free(self, nodes: Sequence[Node], outputs: Sequence[Value], inputs: Sequence[Value]) -> list[Value]:
        """The values that an open graph uses from outside, in order."""
        own = {v for node in nodes for v in node.outputs}.union(inputs)
        found: dict[Value, None] = {}
        for value in [*(v for node in nodes for v in node.operands), *outputs]:
            if value not in own and not _is_copied(value):
                found[value] = None
        return list(found)

    def close(
        self, name: str, nodes: Sequence[Node], outputs: Sequence[Value], inputs: Sequence[Value]
    ) -> tuple[Graph, dict[Value, Value]]:
        """A closed graph of these nodes over the ``inputs``, and its values by the open ones."""
        graph = Graph(name, (v.type for v in inputs))
        mapping: dict[Value, Value] = dict(zip(inputs, graph.inputs))
        own = {v for node in nodes for v in node.outputs}
        for value in [*(v for node in nodes for v in node.operands), *outputs]:
            if value not in mapping and value not in own:
                node = value.node
                assert node is not None
                types: list[Type] = [v.type for v in node.outputs]
                mapping[value] = graph.append(node.op, (), dict(node.attrs), types, node.loc).output
        whole = Graph(name)
        whole.nodes = list(nodes)
        graph.paste(whole, mapping)
        graph.outputs = [mapping[v] for v in outputs]
        self.stopped.update(mapping[v] for v in tuple(self.stopped) if v in mapping and v in own)
        return graph, mapping

    def operand(self, value: Value) -> Any:
        """The tensor, number or token that stands for a value as an operand."""
        tensor = self.carriers.get(value)
        return self.wrap(value) if tensor is None else tensor


def _is_copied(value: Value) -> bool:
    return value.node is not None and value.node.op.name in _COPIED


def drop(graph: Graph) -> None:
    """Give up an open graph: its nodes use nothing any more."""
    for node in graph.nodes:
        node.drop()
