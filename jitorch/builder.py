"""The graph builder: the interpreter that appends a node where eager would compute.

Functionalisation happens here, once.  A tensor is a view of a storage; a *cell* holds the value
that a storage has now.  A write through a view replaces the cell's value by one in which the viewed
part is new, so the graph stays pure and every alias sees the write.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from jitorch import dims, dtypes
from jitorch.dims import Answer, Dim, Noted, Symbol, answered_again, hints_of
from jitorch.errors import CompilerBug, StagingError, user_location
from jitorch.ir.graph import Graph, Node, Value, identity
from jitorch.ir.literal import Literal
from jitorch.ir.op import Op
from jitorch.ir.sizes import symbols_of
from jitorch.ir.types import PYTHON_TYPES, EffectType, ScalarType, TensorType, Token, Type
from jitorch.ops import control, dispatch
from jitorch.ops.normalize import PYTHON_NUMBERS
from jitorch.ops.registry import OPS
from jitorch.tensor import Number, Step, Storage, Tensor


class Cell:
    """The value a storage has now, and the values its views had at this version.

    ``depth``: how many view steps lead from the whole storage to what the cell stands for (a part, where only
    a part of a storage is known).
    """

    __slots__ = ("depth", "value", "version", "views")

    def __init__(self, value: Any, depth: int = 0):
        self.value, self.version, self.depth = value, 0, depth
        self.views: dict[tuple[Any, ...], Any] = {}

    def set(self, value: Any) -> None:
        self.value = value
        self.version += 1
        self.views = {}


class TracedToken(Token):
    """An effect token of a graph under construction."""

    __slots__ = ("_value",)

    def __init__(self, value: Value):
        self._value = value


class Memory(ABC):
    """An interpreter whose tensors are views of cells: writes are functional, aliases see them.

    What a value is, and how an op makes one, is the subclass's affair: `_emit`, `wrap` and `capture`.
    """

    def __init__(self) -> None:
        self.cells: MutableMapping[Storage, Cell] = {}

    @abstractmethod
    def _emit(self, op: Op, inputs: list[Any], attrs: dict[str, Any]) -> Any:
        """The one result of ``op`` for values."""

    @abstractmethod
    def wrap(self, value: Any) -> Any:
        """The tensor or number that stands for ``value``."""

    @abstractmethod
    def capture(self, tensor: Tensor) -> Cell:
        """Called for a tensor with data that is met for the first time."""

    # -- interpreter -----------------------------------------------------------------------------
    def write(self, target: Tensor, value: Tensor) -> None:
        new = self.value(value)
        cell = self.cell(target)
        cell.set(self._write_through(cell.value, target._steps[cell.depth :], new))

    def version(self, tensor: Tensor) -> int:
        cell = self.cells.get(tensor._storage)
        return tensor._storage.version if cell is None else cell.version

    def detach(self, tensor: Tensor) -> Tensor:
        """An alias whose reads are marked, so that a later transform of the graph sees where gradients stop."""
        alias = tensor._alias()
        alias._root = tensor if tensor._root is None else tensor._root
        alias._steps = (*tensor._steps, (OPS["detach"], {}))
        alias._strides = tensor._element_strides()
        return alias

    def alter(self, tensor: Tensor, what: str) -> None:
        if what == "detach_()":
            # Reads of this tensor are marked from now on; those of its aliases are not.
            tensor._root = tensor if tensor._root is None else tensor._root
            tensor._steps = (*tensor._steps, (OPS["detach"], {}))

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    def get_grad(self, tensor: Tensor) -> Tensor | None:
        return tensor._grad

    def set_grad(self, tensor: Tensor, grad: Tensor | None) -> None:
        tensor._grad = grad

    # -- tensors and values ----------------------------------------------------------------------
    def cell(self, tensor: Tensor) -> Cell:
        cell = self.cells.get(tensor._storage)
        if cell is None:
            cell = self.capture(tensor)
            self.cells[tensor._storage] = cell
        return cell

    def value(self, tensor: Tensor) -> Any:
        """The value ``tensor`` has now."""
        cell = self.cell(tensor)
        return self._look_through(cell, tensor._steps[cell.depth :])

    def _look_through(self, cell: Cell, steps: tuple[Step, ...]) -> Any:
        if not steps:
            return cell.value
        key = tuple((op, tuple(attrs.items())) for op, attrs in steps)
        found = cell.views.get(key)
        if found is None:
            op, attrs = steps[-1]
            found = cell.views[key] = self._emit(op, [self._look_through(cell, steps[:-1])], attrs)
        return found

    def _view(self, op: Op, source: Tensor, attrs: dict[str, Any], value: Any) -> Tensor:
        tensor = Tensor._traced(value.type)
        tensor._as_view_of(source, op, attrs)
        strides = op.rules.get("strides")
        if strides is not None:
            tensor._strides = strides(source._element_strides(), source.type.shape, **attrs)
        cell = self.cell(source)
        cell.views[tuple((o, tuple(a.items())) for o, a in tensor._steps[cell.depth :])] = value
        return tensor

    def _write_through(self, old: Any, steps: tuple[Step, ...], new: Any) -> Any:
        """``old`` with the part that ``steps`` show replaced by ``new``."""
        if not steps:
            return new
        op, attrs = steps[0]
        inner = self._emit(op, [old], attrs) if len(steps) > 1 else old
        part = self._write_through(inner, steps[1:], new)
        return self.run(op.rules["write"], [old, part], attrs)

    def run(self, function: Callable[..., Any], inputs: list[Any], attrs: dict[str, Any]) -> Any:
        """What ``function``, written over tensors, does with values."""
        with dispatch.interpreting(self):  # type: ignore[arg-type]  # a subclass has the rest
            return self.value(function(*map(self.wrap, inputs), **attrs))


_NUMBER_OPS = {"floordiv": "floor_divide", "mod": "remainder"}
"""The ops that sizes are computed by, where they have other names."""


class GraphBuilder(Memory):
    """Builds ``graph``; implements `jitorch.ops.dispatch.Interpreter`."""

    def __init__(self, graph: Graph, locations: bool = False):
        super().__init__()
        self.graph, self.locations = graph, locations
        self._bound: dict[Graph, tuple[dict[Symbol, Node], int]] = {}  # the sizes that a graph's first nodes bind

    # -- interpreter -----------------------------------------------------------------------------
    def apply(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        made = self._append(op, [self.lift(x) for x in operands], attrs)
        if op.is_view:
            return self._view(op, operands[0], attrs, made[0])
        results = tuple(map(self.wrap, made))
        return results[0] if len(results) == 1 else results

    def from_array(self, array: Any) -> Tensor:
        return self.apply(OPS["literal"], (), {"value": Literal(array.copy())})

    def concretize(self, value: Any, why: str) -> Any:
        raise StagingError(
            f"{why} needs the data of a tensor, which is not known while a graph is built",
            hint="the result of a traced computation cannot decide what Python does",
        )

    def binds_size(self, data: Any, why: str) -> bool:
        return True

    # -- tensors and values ----------------------------------------------------------------------
    def wrap(self, value: Value) -> Any:
        """The tensor or number that stands for ``value``."""
        if isinstance(value.type, ScalarType):
            return Number(value, value.type)
        if isinstance(value.type, EffectType):
            return TracedToken(value)
        if not isinstance(value.type, TensorType):
            raise CompilerBug(f"no Python object stands for a value of type {value.type}")
        tensor = Tensor._traced(value.type)
        self.cells[tensor._storage] = Cell(value)
        return tensor

    def lift(self, operand: Any) -> Value | None:
        """The value of an operand."""
        if operand is None:
            return None
        if isinstance(operand, Tensor):
            return self.value(operand)
        if isinstance(operand, (Number, TracedToken)):
            return operand._value
        if isinstance(operand, PYTHON_NUMBERS):
            return self.number(operand)
        raise CompilerBug(f"a {type(operand).__name__} is no operand")

    def number(self, value: Any) -> Value:
        """A Python number, or one of a class derived from it, as a constant of the graph."""
        kind: Any = next(k for k in PYTHON_NUMBERS if isinstance(value, k))
        return self.graph.append(OPS["number"], (), {"value": kind(value)}, (PYTHON_TYPES[kind],)).output

    def capture(self, tensor: Tensor) -> Cell:
        """Called for a tensor with data that this graph meets for the first time."""
        raise CompilerBug("an op's body uses a tensor that is not its operand", ir=self.graph)

    def _emit(self, op: Op, inputs: list[Value], attrs: dict[str, Any]) -> Value:
        return self._append(op, inputs, attrs)[0]

    def _append(self, op: Op, inputs: Sequence[Value | None], attrs: dict[str, Any]) -> tuple[Value, ...]:
        """Append a node; it depends on what binds the sizes in its type and attributes."""
        given = [None if v is None else v.type for v in inputs]
        types = infer(op, given, attrs)
        where = user_location() if self.locations else None
        binders = {} if op.name == "steps" else self.binders(symbols_of(types, attrs) - symbols_of(given))
        if op.name == "size_of" and binders:
            return (self._computed(attrs["size"], binders),)
        place = next((i for i, t in enumerate(given) if isinstance(t, TensorType)), None)
        if binders and place is not None:
            inputs = list(inputs)
            inputs[place] = self._after(inputs[place], binders)  # type: ignore[arg-type]
        made = self.graph.append(op, inputs, attrs, types, where).outputs
        return tuple(self._after(v, binders) for v in made) if place is None else made

    def _after(self, value: Value, binders: Mapping[Symbol, Node]) -> Value:
        """``value``, not before the sizes are bound."""
        for node in binders.values():
            value = self.graph.append(OPS["after"], (value, node.output), {}, (value.type,), node.loc).output
        return value

    def _computed(self, size: Dim, binders: Mapping[Symbol, Node]) -> Value:
        """A size as a number, from the counts that its symbols are bound to."""

        def leaf(x: Symbol | int) -> Any:
            if isinstance(x, int):
                return x
            count = binders[x].operands[0] if x in binders else None
            return OPS["size_of"](size=x.dim) if count is None else OPS["number_of"](self.wrap(count))

        with dispatch.interpreting(self):
            number = self.lift(dims.fold(size, leaf, lambda fn, x, y: OPS[_NUMBER_OPS.get(fn, fn)](x, y)))
        if number is None:
            raise CompilerBug(f"no number for the size {size}", ir=self.graph)
        return number

    def binders(self, sizes: set[Symbol]) -> dict[Symbol, Node]:
        """The nodes in reach that bind some of ``sizes``."""
        found: dict[Symbol, Node] = {}
        for graph in self._reached() if sizes else ():
            known, seen = self._bound.get(graph, ({}, 0))
            for node in graph.nodes[seen:]:
                if node.op.name == "steps":
                    known.update(dict.fromkeys(symbols_of((), node.attrs), node))
            self._bound[graph] = known, len(graph.nodes)
            found.update((s, known[s]) for s in sizes if s in known)
        return found

    def _reached(self) -> Iterable[Graph]:
        """The graphs whose values a node can use."""
        return (self.graph,)


def infer(op: Op, types: Sequence[Type | None], attrs: dict[str, Any]) -> tuple[Type, ...]:
    """The result types of ``op``: by its type rule, else from its body."""
    rule = op.rules.get("type")
    if rule is not None:
        result = rule(*op.group(types), **attrs)
        return result if isinstance(result, tuple) else (result,)
    return tuple(v.type for v in body_graph(op, tuple(types), tuple(attrs.items())).outputs)


_bodies: dict[tuple[Any, ...], tuple[Graph, list[Answer]]] = {}
_BODIES_LIMIT = 4096


def body_graph(op: Op, types: tuple[Type | None, ...], attrs: tuple[tuple[str, Any], ...]) -> Graph:
    """The body of a composite as a graph over operands of the given types (absent operands are left out).

    Kept, as composites are typed by it again and again; the caller must not change it.  What it asked about sizes is
    asked again each time: guards are recorded, and another answer is another body.
    """
    if op.body is None:
        raise CompilerBug(f"op {op.name} has no body")
    sizes = (d for t in types if isinstance(t, TensorType) for d in t.shape)
    key = op, types, tuple((name, identity(value)) for name, value in attrs), hints_of(*sizes), dtypes.get_default()
    found = _bodies.get(key)
    if found is None or not answered_again(found[1]):
        with Noted() as noted:
            found = build(op.body, op, types, dict(attrs)), noted.answers
        if len(_bodies) >= _BODIES_LIMIT:
            _bodies.clear()
        _bodies[key] = found
    return found[0]


def expand(node: Node) -> Graph:
    """The body of a composite node as a graph over its present operands."""
    types = tuple(None if v is None else v.type for v in node.inputs)
    return body_graph(node.op, types, tuple(node.attrs.items()))


control.install(expand=expand)


def graph_of(function: Callable[..., Any], types: Sequence[Type], name: str = "body") -> Graph:
    """A closed graph of ``function(*operands)`` over operands of the given types: what control flow holds.

    ``function`` is written over tensors, numbers and tokens and gives one or a tuple of them.
    """
    graph = Graph(name)
    builder = GraphBuilder(graph)
    operands = [builder.wrap(graph.add_input(t)) for t in types]
    token = dispatch.set_grad_enabled_flag(False)
    try:
        with dispatch.interpreting(builder):
            result = function(*operands)
            results = result if isinstance(result, tuple) else (result,)
            for r in results:
                value = builder.lift(r)
                if value is None:
                    raise CompilerBug(f"{name} gives None", ir=graph)
                graph.outputs.append(value)
    finally:
        dispatch.reset_grad_enabled(token)
    return graph


def build(function: Callable[..., Any], op: Op, types: Sequence[Type | None], attrs: dict[str, Any]) -> Graph:
    """Trace ``function(*operands, **attrs)`` for operands of the given types."""
    graph = Graph(op.name)
    builder = GraphBuilder(graph)
    operands = [None if t is None else builder.wrap(graph.add_input(t)) for t in types]
    token = dispatch.set_grad_enabled_flag(False)
    try:
        with dispatch.interpreting(builder):
            result = function(*op.group(operands), **attrs)
            results = result if isinstance(result, tuple) else (result,)
            graph.outputs = [value for r in results if (value := builder.lift(r)) is not None]
    finally:
        dispatch.reset_grad_enabled(token)
    return graph
