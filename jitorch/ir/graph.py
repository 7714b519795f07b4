"""Graph IR: a pure, typed list of operations in single-assignment form.

A `Graph` is a closed function: its nodes use only its inputs and earlier nodes' outputs.  Control
flow is a node whose attributes hold other closed graphs.  ``writes`` pairs an input with the
output that replaces its contents when the call is over.  ``facts`` are relations of symbolic sizes:
the graph is for sizes for which they hold, and what its composite ops mean may depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from jitorch.dims import Dim, Guard, Known, Symbol, SymDim, symbols
from jitorch.errors import CompilerBug, Location
from jitorch.ir.literal import Literal
from jitorch.ir.op import Op
from jitorch.ir.parser import parse_graph
from jitorch.ir.printer import mentioned_symbols, print_graph
from jitorch.ir.types import TensorType, Type


class Value:
    """One value: an output of ``node``, or a graph input (``node is None``).

    ``uses`` holds ``(node, operand index)`` in insertion order, so passes are deterministic.
    """

    __slots__ = ("index", "node", "type", "uses")

    def __init__(self, type: Type, node: Node | None = None, index: int = 0):
        self.type, self.node, self.index = type, node, index
        self.uses: dict[tuple[Node, int], None] = {}

    @property
    def users(self) -> tuple[Node, ...]:
        """The nodes that use this value, each once."""
        return tuple(dict.fromkeys(node for node, _ in self.uses))

    def replace_all_uses_with(self, new: Value) -> None:
        for node, i in tuple(self.uses):
            node.set_input(i, new)

    def __repr__(self) -> str:
        source = "input" if self.node is None else self.node.op.name
        return f"<{source}#{self.index}: {self.type}>"


class Node:
    """``outputs = op(*inputs, **attrs)``.  An absent optional operand is None."""

    __slots__ = ("attrs", "inputs", "loc", "op", "outputs")

    def __init__(
        self,
        op: Op,
        inputs: Sequence[Value | None],
        attrs: dict[str, Any],
        types: Sequence[Type],
        loc: Location | None = None,
    ):
        self.op, self.attrs, self.loc = op, attrs, loc
        self.outputs = tuple(Value(t, self, i) for i, t in enumerate(types))
        self.inputs: tuple[Value | None, ...] = tuple(inputs)
        for i, value in enumerate(self.inputs):
            if value is not None:
                value.uses[self, i] = None

    @property
    def operands(self) -> tuple[Value, ...]:
        """The inputs that are there."""
        return tuple(v for v in self.inputs if v is not None)

    @property
    def output(self) -> Value:
        """The output of a node that has just one."""
        if len(self.outputs) != 1:
            raise CompilerBug(f"{self.op.name} has {len(self.outputs)} outputs, not one")
        return self.outputs[0]

    def set_input(self, i: int, new: Value | None) -> None:
        old = self.inputs[i]
        if old is not None:
            del old.uses[self, i]
        if new is not None:
            new.uses[self, i] = None
        self.inputs = (*self.inputs[:i], new, *self.inputs[i + 1 :])

    def add_input(self, new: Value) -> None:
        """One more operand, behind the others."""
        new.uses[self, len(self.inputs)] = None
        self.inputs = (*self.inputs, new)

    def drop(self) -> None:
        """Give up the uses; the node must then leave its graph."""
        for i, value in enumerate(self.inputs):
            if value is not None:
                value.uses.pop((self, i), None)

    def key(self) -> tuple[Any, ...]:
        """Nodes with equal keys compute equal values."""
        attrs = tuple((name, identity(self.attrs[name])) for name in sorted(self.attrs))
        return (self.op, self.inputs, attrs)

    def __repr__(self) -> str:
        return f"<{self.op.name} node>"


class Graph:
    """See the module's docstring."""

    def __init__(self, name: str = "main", inputs: Iterable[Type] = ()):
        self.name = name
        self.inputs: list[Value] = [Value(t, None, i) for i, t in enumerate(inputs)]
        self.nodes: list[Node] = []
        self.outputs: list[Value] = []
        self.writes: tuple[tuple[int, int], ...] = ()
        self.input_names: list[str] = []
        self.facts: tuple[Guard, ...] = ()

    # -- building --------------------------------------------------------------------------------
    def add_input(self, type: Type, name: str | None = None) -> Value:
        value = Value(type, None, len(self.inputs))
        self.inputs.append(value)
        if name is not None:
            self.input_names += [""] * (len(self.inputs) - 1 - len(self.input_names)) + [name]
        return value

    def insert_input(self, position: int, type: Type) -> Value:
        """One more input, at ``position``; inputs lose their names."""
        value = Value(type)
        self.inputs.insert(position, value)
        self.input_names = []
        for i, known in enumerate(self.inputs):
            known.index = i
        return value

    def append(
        self,
        op: Op,
        inputs: Sequence[Value | None],
        attrs: dict[str, Any],
        types: Sequence[Type],
        loc: Location | None = None,
    ) -> Node:
        node = Node(op, inputs, attrs, types, loc)
        self.nodes.append(node)
        return node

    # -- reading ---------------------------------------------------------------------------------
    def __iter__(self) -> Iterator[Node]:
        """The nodes, of a snapshot: the graph may change while it is walked."""
        return iter(tuple(self.nodes))

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbolic sizes of the inputs' types, in order of appearance."""
        found: dict[Symbol, None] = {}
        for value in self.inputs:
            if isinstance(value.type, TensorType):
                for dim in value.type.shape:
                    found.update(dict.fromkeys(symbols(dim)))
        return tuple(found)

    def assumed(self) -> AbstractContextManager[object]:
        """``with graph.assumed():`` the graph's facts answer questions about sizes.

        Where it has none, those of the graph that it belongs to go on to do so.
        """
        return Known(self.facts) if self.facts else nullcontext()

    @property
    def is_static(self) -> bool:
        return not self.symbols

    # -- changing --------------------------------------------------------------------------------
    def take_facts(self, whole: Graph) -> None:
        """The facts of ``whole`` about sizes that this graph, a part of it, mentions."""
        graphs: list[Graph] = [self]
        for graph in graphs:
            graphs += graph.subgraphs()
        mentioned = {symbol for graph in graphs for symbol in mentioned_symbols(graph)}
        self.facts = tuple(f for f in whole.facts if mentioned.issuperset(symbols(f.left, f.right)))

    def replace(self, old: Value, new: Value) -> None:
        """Make every use of ``old``, graph outputs included, a use of ``new``."""
        if old.type != new.type:
            node = old.node.op.name if old.node is not None else "input"
            raise CompilerBug(f"a rewrite of {node} changed its type", expected=old.type, actual=new.type, ir=self)
        old.replace_all_uses_with(new)
        if old in self.outputs:
            self.outputs = [new if v is old else v for v in self.outputs]

    def rebuild(self, nodes: list[Node]) -> None:
        """Keep just ``nodes``, in this order; the others give up their uses."""
        kept = set(nodes)
        for node in self.nodes:
            if node not in kept:
                node.drop()
        self.nodes = nodes

    def copy(self, name: str | None = None) -> Graph:
        new, _ = self.copy_with_values(name)
        return new

    def copy_with_values(self, name: str | None = None) -> tuple[Graph, dict[Value, Value]]:
        """A deep copy and the map from each old value to its copy."""
        new = Graph(name or self.name, (v.type for v in self.inputs))
        new.input_names = list(self.input_names)
        mapping: dict[Value, Value] = dict(zip(self.inputs, new.inputs))
        new.paste(self, mapping)
        new.outputs = [mapping[v] for v in self.outputs]
        new.writes, new.facts = self.writes, self.facts
        return new, mapping

    def paste(self, other: Graph, mapping: dict[Value, Value]) -> None:
        """Append copies of ``other``'s nodes; ``mapping`` gives its inputs and receives its values."""
        for node in other.nodes:
            inputs = [None if v is None else mapping[v] for v in node.inputs]
            # Each node has inner graphs of its own: passes change them in place.
            attrs = {name: a.copy() if isinstance(a, Graph) else a for name, a in node.attrs.items()}
            copied = self.append(node.op, inputs, attrs, [v.type for v in node.outputs], node.loc)
            mapping.update(zip(node.outputs, copied.outputs))

    def subgraphs(self) -> Iterator[Graph]:
        """The graphs held by control-flow nodes."""
        for node in self.nodes:
            yield from (value for value in _leaves(node.attrs.values()) if isinstance(value, Graph))

    def literals(self) -> dict[str, Literal]:
        """The literals of this graph and the graphs in it, by digest: what its text needs to be read back."""
        found: dict[str, Literal] = {}
        for node in self.nodes:
            for value in _leaves(node.attrs.values()):
                if isinstance(value, Literal):
                    found[value.digest] = value
                elif isinstance(value, Graph):
                    found |= value.literals()
        return found

    # -- text ------------------------------------------------------------------------------------
    def __str__(self) -> str:
        return print_graph(self)

    def __repr__(self) -> str:
        return f"<graph {self.name}: {len(self.inputs)} inputs, {len(self.nodes)} nodes>"

    def __eq__(self, other: object) -> bool:
        """Structural: same types, ops, attributes and wiring, whatever the objects are."""
        return isinstance(other, Graph) and _structure(self) == _structure(other)

    __hash__ = object.__hash__

    @staticmethod
    def parse(
        text: str, ops: Mapping[str, Op], literals: Mapping[str, np.ndarray[Any, Any] | Literal] | None = None
    ) -> Graph:
        """Read the text form; see `jitorch.ir.parser.parse_graph`."""
        return parse_graph(text, ops, Graph, literals)


def identity(value: Any) -> Any:
    """Equal for attribute values that mean the same: tells 1 from True and 0.0 from -0.0, and nan equals itself."""
    if isinstance(value, tuple):
        return tuple(map(identity, value))
    if isinstance(value, (bool, float, complex)):
        return type(value).__name__, repr(value)
    return value


def are_alike(a: Value, b: Value) -> bool:
    """Whether two values are computed by the same ops from the same values."""
    pending: list[tuple[Value | None, Value | None]] = [(a, b)]
    seen: set[tuple[Value | None, Value | None]] = set()
    while pending:
        pair = x, y = pending.pop()
        if x is y or pair in seen:
            continue
        seen.add(pair)
        if x is None or y is None or x.node is None or y.node is None:
            return False
        (op, inputs, attrs), (other, others, values) = x.node.key(), y.node.key()
        if op is not other or x.index != y.index or attrs != values or len(inputs) != len(others):
            return False
        pending += zip(inputs, others)
    return True


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple):
            yield from _leaves(value)
        else:
            yield value


def _structure(graph: Graph) -> tuple[Any, ...]:
    number: dict[Value, int] = {v: i for i, v in enumerate(graph.inputs)}
    nodes: list[Any] = []
    for node in graph.nodes:
        inputs = tuple(None if v is None else number.get(v, -1) for v in node.inputs)
        attrs = {name: identity(value) for name, value in node.attrs.items()}
        nodes.append((node.op, inputs, attrs, tuple(v.type for v in node.outputs)))
        for v in node.outputs:
            number[v] = len(number)
    outputs = tuple(number.get(v, -1) for v in graph.outputs)
    return (graph.name, tuple(v.type for v in graph.inputs), nodes, outputs, graph.writes, graph.facts)


def map_dims(graph: Graph, f: Callable[[Dim], Dim]) -> None:
    """Replace every size in the types, attributes and facts of ``graph``, and of the graphs in it, in place."""
    for value in (*graph.inputs, *(v for node in graph.nodes for v in node.outputs)):
        if isinstance(value.type, TensorType):
            value.type = value.type.with_shape(map(f, value.type.shape))
    for node in graph.nodes:
        node.attrs = {name: map_attribute(attribute, f) for name, attribute in node.attrs.items()}
    facts = [Guard(fact.relation, f(fact.left), f(fact.right)) for fact in graph.facts]
    graph.facts = tuple(fact for fact in facts if symbols(fact.left, fact.right))


def map_attribute(value: Any, f: Callable[[Dim], Dim]) -> Any:
    """An attribute with every size in it replaced; a graph is changed in place."""
    if isinstance(value, SymDim):
        return f(value)
    if isinstance(value, Graph):
        map_dims(value, f)
    return tuple(map_attribute(v, f) for v in value) if isinstance(value, tuple) else value
