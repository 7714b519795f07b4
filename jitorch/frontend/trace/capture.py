"""A function as one closed graph: what `jit.trace`, `jit.save` and exporters write down.

The function is run once by the same tracer as under ``@jit``, so branches and loops that depend on data are part of
the graph.  There are no guards: what the Python read from objects outside stays what it was, and the tensors among it
are inputs of the graph, after those of the arguments.  What the function would take from the *data* of a tensor, from
a file or from a clock would be frozen: that is refused with its line, or, with ``frozen``, noted.

    found = capture(model, (x,), {}, [TensorType(float32, (symbol("batch", 1, hint=4), 3))])
    found.graph, found.tensors, found.result
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import numpy as np

from jitorch.builder import infer
from jitorch.devices import Device
from jitorch.dims import Facts
from jitorch.dtypes import DType
from jitorch.errors import Location, StagingError, user_location
from jitorch.frontend.eager.interpreter import Eager
from jitorch.frontend.python import Refuse, paths
from jitorch.frontend.python.journal import DictBox, Journal, ListBox
from jitorch.frontend.trace.results import Output
from jitorch.frontend.trace.staging import Note
from jitorch.frontend.trace.tracer import TraceBuilder, Traced, mark_stopped, trace
from jitorch.ir.graph import Graph, Value
from jitorch.ir.interpret import interpret
from jitorch.ir.types import TensorType
from jitorch.ops import dispatch
from jitorch.passes.decompose import expand
from jitorch.tensor import Number, Step, Storage, Tensor


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of output ``number`` of the graph in what the function returned."""

    number: int


@dataclass(frozen=True)
class Frozen:
    """A value that the trace took as it was: ``what``, at the user's line."""

    what: str
    where: Location | None


@dataclass
class Captured:
    """``graph`` takes the tensors among the arguments, then ``tensors``; ``result`` holds a `Slot` for each output.

    ``frozen``: the values that were taken as they were.  ``dropped``: tensors in whose place in a Python object the
    function put another one, which is not done.  ``functions``: those that were run.
    """

    graph: Graph
    tensors: list[Tensor]
    result: Any
    notes: tuple[Note | str, ...] = ()
    frozen: list[Frozen] = field(default_factory=list)
    dropped: list[Tensor] = field(default_factory=list)
    functions: tuple[CodeType, ...] = ()


def leaves(tree: Any) -> Iterator[Any]:
    """What the tuples, lists and dicts in ``tree`` hold, in order."""
    if isinstance(tree, Mapping):
        for item in tree.values():
            yield from leaves(item)
    elif isinstance(tree, (tuple, list)):
        for item in tree:
            yield from leaves(item)
    else:
        yield tree


def replaced(tree: Any, change: Callable[[Any], Any]) -> Any:
    """``tree`` with each leaf changed."""
    if isinstance(tree, Mapping):
        return {key: replaced(item, change) for key, item in tree.items()}
    if isinstance(tree, (tuple, list)):
        items = [replaced(item, change) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return change(tree)


def capture(
    function: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    types: Sequence[TensorType] | None = None,
    name: str = "main",
    frozen: bool = False,
    drops_writes: bool = False,
    facts: Facts | None = None,
) -> Captured:
    """Run ``function`` once on tensors without data.

    ``types``: those of the tensors among the arguments, in order, where sizes may be symbols with hints; None: the
    types they have.  Nothing outside changes.  Raises StagingError, with the user's line, for what no graph can hold: a
    value that would be frozen (unless ``frozen``), a write to a Python object (unless ``frozen`` or ``drops_writes``),
    a result that is no tensor, number, tuple, list or dict.  ``facts`` takes what is assumed of symbolic sizes, also
    where this raises.
    """
    given = [x for x in leaves((args, kwargs)) if isinstance(x, Tensor)]
    kinds = [x.type for x in given] if types is None else list(types)
    stand_ins = [_stand_in(x, kind) for x, kind in zip(given, kinds, strict=True)]
    remaining = iter(stand_ins)
    inner_args, inner_kwargs = replaced((args, dict(kwargs)), lambda x: next(remaining) if isinstance(x, Tensor) else x)
    examples = {id(stand_in): x for stand_in, x in zip(stand_ins, given)}
    builder = CapturingBuilder(Graph(name), examples, frozen, drops_writes)
    builder.arguments = inner_args, inner_kwargs
    traced = trace(function, inner_args, inner_kwargs, name=name, builder=builder, facts=facts)
    staged = traced.staged
    if staged.refused is not None:
        raise staging_error(function, staged.refused)
    if builder.trace.journal.effects and not builder.may_drop("print() or logging, which is not repeated"):
        why = "print() or logging, which a trace cannot repeat"
        raise staging_error(function, Refuse("side-effect", why, hint="use @jit, which repeats it"))
    graph = _Closing(builder, traced, stand_ins, kinds)
    dropped = builder.trace.journal.dropped_tensors()
    functions = tuple(dict.fromkeys(staged.functions.values()))
    return Captured(graph.graph, graph.tensors, graph.result, traced.notes, builder.taken, dropped, functions)


def staging_error(function: Any, refused: Refuse) -> StagingError:
    """The error for a function that cannot be traced."""
    name = getattr(function, "__qualname__", type(function).__name__)
    hint = refused.hint or "change that line; @jit may run such a function eagerly"
    return StagingError(f"cannot trace {name}: {refused.why}", where=refused.where, hint=hint, reason=refused.reason)


def _stand_in(x: Tensor, type_: TensorType) -> Tensor:
    stand_in = Tensor._traced(type_)
    stand_in._requires_grad = x.requires_grad
    return stand_in


class _Dropped(Journal):
    """The journal of a function whose graph is all that it does; ``may_drop(why)``: a write may be left out."""

    is_replayed = False

    def __init__(self, may_drop: Callable[[str], bool]):
        super().__init__()
        self._may_drop = may_drop

    def _written(self) -> None:
        if self._may_drop("a write to a Python object outside of the function, which is not repeated"):
            return
        raise Refuse(
            "side-effect",
            "a write to a Python object outside of the function, which a trace cannot repeat",
            hint="return the value, or use @jit, which repeats what a function writes",
        )

    def dict_box(self, container: dict[Any, Any], owner: Any = None) -> DictBox:
        self._written()
        return super().dict_box(container, owner)

    def list_box(self, container: Any) -> ListBox:
        self._written()
        return super().list_box(container)

    def set_attribute(self, target: Any, name: str, value: Any) -> None:
        self._written()
        super().set_attribute(target, name, value)

    def dropped_tensors(self) -> list[Tensor]:
        """The tensors that were replaced in dicts."""
        boxes = [box for box in self.boxes.values() if isinstance(box, DictBox)]
        old = [box.base.get(key) for box in boxes for key in (*box.written, *box.deleted)]
        return [x for x in old if isinstance(x, Tensor)]


class CapturingBuilder(TraceBuilder):
    """A trace builder without guards that may take values from the example arguments."""

    def __init__(self, graph: Graph, examples: Mapping[int, Tensor], may_freeze: bool, drops_writes: bool):
        super().__init__(graph)
        self.examples, self.may_freeze, self.drops_writes = examples, may_freeze, drops_writes
        self.arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self.taken: list[Frozen] = []
        self.is_differentiable = dispatch.is_grad_enabled()

    @property
    def trace(self) -> Any:
        return self._trace

    @trace.setter
    def trace(self, trace: Any) -> None:
        self._trace = trace
        if trace is not None:
            trace.stages_floats = False
            trace.journal = _Dropped(self.may_drop)

    def may_drop(self, why: str) -> bool:
        """Whether what the function does to Python objects outside may be left out; ``why`` names it."""
        return self.drops_writes or self.freeze(why)

    def may_have_history(self, operands: Sequence[Any]) -> bool:
        # The arguments of later calls may require gradients where those of the example do not.
        return self.is_differentiable and any(isinstance(x, Tensor) for x in operands)

    def freeze(self, why: str) -> bool:
        if not self.may_freeze or self.depth:
            return False
        self.taken.append(Frozen(why, user_location(columns=True)))
        return True

    def concretize(self, value: Any, why: str) -> Any:
        try:
            return super().concretize(value, why)
        except Refuse:
            if not self.freeze(why):
                raise
        wanted = value._value if isinstance(value, Number) else self.value(value)
        return self._evaluated(wanted)

    def _evaluated(self, value: Value) -> Any:
        """``value`` for the example arguments."""
        inputs = []
        for path in self.paths:
            found = paths.evaluate(path, *self.arguments)
            found = self.examples.get(id(found), found)
            inputs.append(_EAGER.array(found).copy() if isinstance(found, Tensor) else found)
        part = Graph("frozen")
        part.inputs, part.nodes, part.outputs = self.root_graph.inputs, self.root_graph.nodes, [value]
        (result,) = interpret(part, inputs, expand)
        return result.copy() if isinstance(result, np.ndarray) else result


_EAGER = Eager()


class _Closing:
    """Makes a trace a closed graph: results become outputs, and the inputs get their order."""

    def __init__(self, builder: CapturingBuilder, traced: Traced, stand_ins: Sequence[Tensor], types: Sequence[Any]):
        self.graph, self.builder = traced.graph, builder
        self.tensors: list[Tensor] = []
        found = [paths.evaluate(path, *builder.arguments) for path in traced.staged.inputs]
        # By memory: a function may have changed what a tensor shows of it, as ``x.t_()`` does.
        self.inputs: dict[Storage, Value] = {x._storage: v for x, v in zip(found, self.graph.inputs, strict=True)}
        arguments = [x._storage for x in stand_ins]
        for storage, type_ in zip(arguments, types):
            self.inputs.setdefault(storage, Value(type_))
        self.tensors = [x for x in found if x._storage not in arguments]
        self.written = {self.graph.inputs[i]: self.graph.outputs[o] for i, o in self.graph.writes}
        returned = self._returned(traced)
        results = [self._value(output) for output in traced.outputs]
        self.graph.outputs = []
        self.result = replaced(returned, lambda leaf: self._leaf(leaf, results))
        self._arrange([*(self.inputs[s] for s in arguments), *(self.inputs[x._storage] for x in self.tensors)])
        if not traced.differentiable:
            mark_stopped(self.graph, builder.stopped)

    def _returned(self, traced: Traced) -> Any:
        finish = traced.staged.finish
        assert finish is not None
        return finish([Slot(i) for i in range(len(traced.outputs))], *self.builder.arguments)

    def _value(self, output: Output) -> Value:
        """What `Output.make` makes, as a value of the graph."""
        value = self.graph.inputs[output.source] if output.stored else self.graph.outputs[output.source]
        return self._seen(value, output.steps)

    def _seen(self, value: Value, steps: Sequence[Step]) -> Value:
        """What ``steps`` show of a value, as it is after the writes."""
        value = self.written.get(value, value)
        for op, attrs in steps:
            value = self.graph.append(op, [value], attrs, infer(op, [value.type], attrs)).output
        return value

    def _leaf(self, leaf: Any, results: Sequence[Value]) -> Any:
        if isinstance(leaf, Slot):
            return self._output(results[leaf.number])
        if isinstance(leaf, Tensor):
            return self._output(self._stored(leaf))
        if leaf is None or isinstance(leaf, (bool, int, float, complex, str, DType, Device)):
            return leaf
        raise StagingError(
            f"a trace returns a {type(leaf).__name__}", expected="tensors, numbers, tuples, lists and dicts",
            hint="return what is in it", reason="result",
        )  # fmt: skip

    def _stored(self, tensor: Tensor) -> Value:
        """A tensor from outside that is returned."""
        root = self.builder.roots.get(tensor._storage)
        if root is not None:
            return self._seen(self.inputs[tensor._storage], tensor._steps[root.cell.depth :])
        if tensor._storage not in self.inputs:
            self.inputs[tensor._storage] = Value(tensor.type)
            self.tensors.append(tensor)
        return self.inputs[tensor._storage]

    def _output(self, value: Value) -> Slot:
        self.graph.outputs.append(value)
        return Slot(len(self.graph.outputs) - 1)

    def _arrange(self, inputs: list[Value]) -> None:
        graph = self.graph
        for i, value in enumerate(inputs):
            value.index = i
        graph.inputs, graph.input_names, graph.writes = inputs, [], ()
        for target, new in self.written.items():
            graph.outputs.append(new)
            graph.writes = (*graph.writes, (inputs.index(target), len(graph.outputs) - 1))


def without_gradients(function: Callable[[], Any]) -> Any:
    """``function()`` with gradients disabled."""
    token = dispatch.set_grad_enabled_flag(False)
    try:
        return function()
    finally:
        dispatch.reset_grad_enabled(token)
