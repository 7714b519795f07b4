"""Tracing: one run of a Python function becomes a graph.

`TraceBuilder` is the graph builder that turns stored tensors into inputs; `TensorRecorder` tells the
protocol of `jitorch.frontend.python` about tensors.  The tape runs on top, so ``backward()`` inside
of the function is recorded like anything else.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from jitorch.builder import Cell, infer
from jitorch.dims import Dim, Facts, Guard, SymDim
from jitorch.errors import Location, user_location
from jitorch.frontend.eager.interpreter import (
    DonatedTensor,
    StaleTensor,
    donated_error,
    read_only_error,
    stale_error,
)
from jitorch.frontend.eager.tape import Tape
from jitorch.frontend.python import Path, RuntimeScalar, Staged, stage
from jitorch.frontend.python.codegen import Writer
from jitorch.frontend.python.journal import MISSING
from jitorch.frontend.python.paths import attr
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.trace.choices import Choices
from jitorch.frontend.trace.course import Course, Outcomes
from jitorch.frontend.trace.nested import NestedBuilder
from jitorch.frontend.trace.results import Output, plan_outputs
from jitorch.frontend.trace.staging import Note
from jitorch.frontend.trace.tensor_recorder import TensorRecorder
from jitorch.ir.graph import Graph, Node, Value, are_alike
from jitorch.ir.op import Op
from jitorch.ir.sizes import symbols_of
from jitorch.ir.types import PYTHON_TYPES, TensorType
from jitorch.ops import OPS, dispatch
from jitorch.ops.control import has_effect
from jitorch.passes.control import name_bound_sizes
from jitorch.passes.decompose import decompose
from jitorch.tensor import Number, Storage, Tensor

_EXPRESSIONS = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "neg": operator.neg,
}  # fmt: skip
"""Ops on Python numbers, which a trace may follow back to the numbers that it read."""


_RELATIONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le"}


@dataclass(frozen=True, slots=True)
class Root:
    """A stored tensor whose memory is input ``number`` of the graph."""

    tensor: Tensor
    cell: Cell
    number: int
    path: Path


class TraceBuilder(NestedBuilder):
    """Builds the graph of a trace; stored tensors become its inputs."""

    def __init__(self, graph: Graph):
        super().__init__(graph)
        self.trace: Any = None
        self.paths: list[Path] = []
        self.roots: dict[Storage, Root] = {}
        self.owned_from = sys.maxsize  # the first argument that belongs to the function, not to the caller
        self.constants: dict[int, Tensor] = {}  # inputs that are the same frozen tensor in every call
        self.checked: dict[int, Tensor] = {}  # stored tensors known to agree with the root of their storage
        self.numbers: dict[Path, Value] = {}
        self.scalars: dict[Value, RuntimeScalar] = {}
        self.traced: dict[int, int] = {}
        self.kept: list[Any] = []
        self.rows: dict[int, tuple[Tensor, int]] = {}  # rows of stacked results, by identity
        self.choices = Choices(self)
        self.most: dict[Dim, Dim] = {}  # sizes that count the true elements of masks, and how many there can be
        self.room: dict[Dim, Dim] = {}  # for sizes that shrink in a loop: that of the memory they are a part of
        self.assumed: dict[Graph, set[Guard]] = {}  # what the program checks of its sizes, by the graph that does
        self.cleared: list[Tensor] = []  # stored tensors whose gradient is dropped before anything else happens
        self.watched: Location | None = None  # where a traced tensor got a hook, keeps its gradient or became a leaf

    # -- interpreter -----------------------------------------------------------------------------
    def apply(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        if any(isinstance(x, StaleTensor) for x in operands):
            return StaleTensor.results(self._stale_types(op, operands, attrs))
        if self.depth and op.is_view:
            with self.at(self.home(operands[0])):
                return self._record(op, operands, attrs)
        return self._record(op, operands, attrs)

    def _record(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        out = self._counted_before(operands[0]) if op.name == "steps" else None
        if out is None:
            out = super().apply(op, operands, attrs)
            self._ask_within(self.graph.nodes[-1])
            if op.name == "positions":
                mask, ramp = (x._type.shape[0] for x in operands)
                self.most[ramp] = mask
        for t in out if isinstance(out, tuple) else (out,):
            self.adopt(t)
            if self.depth == 0 and isinstance(t, Tensor):
                self.choices.outer.add(t._storage)
        if not dispatch.is_grad_enabled() and self.may_have_history(operands):
            self.stopped.update(self.graph.nodes[-1].outputs)
        return out

    def _ask_within(self, node: Node) -> None:
        """Let a composite ask now what its body, which is made later, asks of sizes that the program computes."""
        types = (v.type for v in (*node.operands, *node.outputs))
        if node.op.body is not None and any(s.computed for s in symbols_of(types, node.attrs)):
            part = Graph(node.op.name, (v.type for v in node.operands))
            given = iter(part.inputs)
            inputs = [None if v is None else next(given) for v in node.inputs]
            part.append(node.op, inputs, node.attrs, [v.type for v in node.outputs])
            decompose(part)

    def _counted_before(self, count: Tensor) -> Tensor | None:
        """What counts up to ``count`` already: sizes that are computed alike are one size."""
        value = self.value(count)
        nodes = (node for graph in self._reached() for node in graph.nodes if node.op.name == "steps")
        found = next((node for node in nodes if are_alike(node.operands[0], value)), None)
        return None if found is None else self.wrap(found.output)

    def may_have_history(self, operands: Sequence[Any]) -> bool:
        """Whether a gradient could flow to one of ``operands``, were gradients enabled."""
        return any(isinstance(x, Tensor) and x.requires_grad for x in operands)

    def _stale_types(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        values = [None if x is None or isinstance(x, StaleTensor) else self.lift(x) for x in operands]
        types = [x._type if isinstance(x, StaleTensor) else v and v.type for x, v in zip(operands, values)]
        found = infer(op, types, attrs)
        return found[0] if len(found) == 1 else found

    def adopt(self, made: Any) -> Any:
        """Remember that this trace made the object."""
        self.traced.setdefault(id(made), len(self.kept))
        self.kept.append(made)
        return made

    def detach(self, tensor: Tensor) -> Tensor:
        self.cell(tensor)
        return self.adopt(super().detach(tensor))

    def is_stored(self, tensor: Any) -> bool:
        return isinstance(tensor, Tensor) and id(tensor) not in self.traced

    def write(self, target: Tensor, value: Tensor) -> None:
        if target._is_frozen:
            raise read_only_error(target)
        cell, old = self.cell(target), self.cell(target).value
        self.choices.check_write(target)
        if self.depth and dispatch.is_grad_enabled() and self.home(target) < self.depth:
            base = target if target._base is None else target._base
            if value.requires_grad or target.requires_grad or base.requires_grad:
                raise Refuse(
                    "branch-write",
                    "a write with a gradient, in a branch or loop, to a tensor from outside of it",
                    hint="use the out-of-place form of the operation, such as x = x + y in the place of x += y",
                )
        if dispatch.is_grad_enabled():
            if value.requires_grad:
                self._refuse_history(target)
            super().write(target, value)
            return
        super().write(target, value)
        # Eager would change the elements and leave every history as it is.
        cell.set(self._emit(OPS["overwritten"], [old, cell.value], {}))

    def _refuse_history(self, target: Tensor) -> None:
        """Writes of tensors that require grad change the history of all that shows the memory."""
        if target._storage in self.roots:
            raise Refuse("alias", "a tensor from outside is overwritten by one that requires grad")
        if any(op.name == "detach" for op, _ in target._steps):
            raise Refuse("alias", "a detached alias is overwritten by a tensor that requires grad")

    def alter(self, tensor: Tensor, what: str) -> None:
        self.choices.check_attribute(tensor, what)
        if self.is_stored(tensor):
            raise Refuse("outside-tensor", f"{what} of a tensor that exists outside is set")
        if what != "detach_()":
            self.watched = self.watched or user_location()
        super().alter(tensor, what)

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return self.trace.call(function, *args, **kwargs)

    def concretize(self, value: Any, why: str) -> Any:
        if isinstance(value, RuntimeScalar):
            return value.concrete(why)
        if isinstance(value, Number):
            known = self._expression(value._value)
            if known is not None:
                return known.concrete(why) if isinstance(known, RuntimeScalar) else known
        raise Refuse(
            "data",
            f"{why} needs a value that is computed by the traced program",
            hint="let a branch, a loop or a tensor operation depend on it, not an object of Python",
        )

    def freeze(self, why: str) -> bool:
        """Whether the trace may take what differs from call to call as it is now: a guarded one may not."""
        return False

    def _expression(self, value: Value) -> Any:
        """A scalar of the graph as a number or as an expression of run-time scalars, where it is one."""
        if value in self.scalars:
            return self.scalars[value]
        node = value.node
        if node is None:
            return None
        if node.op.name == "number":
            return node.attrs["value"]
        operands = [None if v is None else self._expression(v) for v in node.inputs]
        if node.op.name not in _EXPRESSIONS or any(x is None for x in operands):
            return None
        return _EXPRESSIONS[node.op.name](*operands)

    def get_grad(self, tensor: Tensor) -> Tensor | None:
        if not self.is_stored(tensor):
            return tensor._grad
        return self.trace.read_attribute(tensor, "_grad")

    def set_grad(self, tensor: Tensor, grad: Tensor | None) -> None:
        if not self.is_stored(tensor):
            tensor._grad = grad
            return
        if tensor._node is not None and grad is not None:
            raise Refuse("outside-tensor", "backward() through the history of a tensor that was computed outside")
        if grad is None and not self.root_graph.nodes and self.trace.journal.attribute(tensor, "_grad") is MISSING:
            self.cleared.append(tensor)
        self.trace.write_attribute(tensor, "_grad", grad)

    # -- sizes that the program computes ---------------------------------------------------------
    def assume(self, guard: Guard) -> None:
        """Have the program check what was assumed of a size: where it does not hold, plain Python runs the call."""
        known = [self.assumed.setdefault(graph, set()) for graph in self._reached()]
        if any(guard in guards for guards in known):
            return
        known[-1].add(guard)
        with dispatch.interpreting(self):
            sides = [OPS["size_of"](size=d) if isinstance(d, SymDim) else d for d in (guard.left, guard.right)]
            self.check(OPS[_RELATIONS[guard.relation]](*sides))

    # -- inputs ----------------------------------------------------------------------------------
    def capture(self, tensor: Tensor) -> Cell:
        if isinstance(tensor, StaleTensor):
            raise stale_error(tensor)
        if isinstance(tensor, DonatedTensor):
            raise donated_error(tensor)
        path = self.trace.path_of(tensor)
        if path is None:
            raise Refuse("outside-tensor", "a tensor of another trace")
        root = tensor
        is_argument = path.kind == "kwarg" or (path.kind == "arg" and path.key < self.owned_from)
        # A part that has a gradient of its own, or is cut off from that of the whole, is an input of its own.
        whole = tensor._root
        flags = (tensor.requires_grad, tensor._requires_grad)
        if whole is not None and whole.requires_grad == flags[0] and whole._requires_grad >= flags[1]:
            root, path = whole, attr(path, "_root")
        value = self.root_graph.add_input(root._type, str(path).rpartition(".")[2])
        cell = Cell(value, len(root._steps))
        self.roots[root._storage] = Root(root, cell, len(self.root_graph.inputs) - 1, path)
        self.checked[id(tensor)] = tensor
        if root._is_frozen and not is_argument:
            self.trace.guard(path, "is", root)
            self.constants[len(self.paths)] = root
        self.paths.append(path)
        return cell

    def _check_alias(self, tensor: Tensor) -> None:
        """A stored tensor whose memory came in through another one: both must be views of one root, now and later."""
        self.checked[id(tensor)] = tensor
        root, path = self.roots.get(tensor._storage), self.trace.path_of(tensor)
        if root is None or root.path == path:
            return
        depth = root.cell.depth
        if tensor._steps[:depth] != root.tensor._steps[:depth]:
            raise Refuse("alias", "two tensors show one memory in ways that are not views of each other")
        if tensor.requires_grad != root.tensor.requires_grad:
            raise Refuse("alias", "two tensors share memory, and only one of them requires grad")
        self.trace.guard(attr(path, "_storage"), "same", attr(root.path, "_storage"))

    def value(self, tensor: Tensor) -> Value:
        self.choices.check_read(tensor)
        found = super().value(tensor)
        if id(tensor) not in self.checked and self.is_stored(tensor):
            self._check_alias(tensor)
        if found.type != tensor._type:
            raise Refuse("alias", "two tensors show one memory in ways that are not views of each other")
        return found

    def number_of(self, scalar: RuntimeScalar) -> Number:
        """A run-time scalar as an input of the graph."""
        if not scalar.has_64_bits:
            raise Refuse("data", "an int of more than 64 bits in the program")
        value = self.numbers.get(scalar.path)
        if value is None:
            value = self.root_graph.add_input(PYTHON_TYPES[scalar.python_type], "")
            self.numbers[scalar.path] = value
            self.scalars[value] = scalar
            self.paths.append(scalar.path)
        return self.adopt(Number(value, value.type))  # type: ignore[arg-type]

    def lift(self, operand: Any) -> Value | None:
        if isinstance(operand, RuntimeScalar):
            return self.number_of(operand)._value
        if isinstance(operand, SymDim):
            return OPS["size_of"](size=operand)._value
        return super().lift(operand)

    def written(self) -> list[Root]:
        return [root for root in self.roots.values() if root.cell.version > 0]

    def release(self) -> None:
        """Let go of all memory: the trace is a cycle of objects, which the garbage collector finds much later."""
        self.roots.clear()
        self.cells.clear()
        self.carriers.clear()
        self.rows.clear()
        self.kept.clear()
        self.choices.release()
        self.assumed.clear()
        self.most.clear()
        self.room.clear()
        self._bound.clear()


@dataclass
class Traced:
    """A function as a graph: ``staged`` finds the inputs and rebuilds the results.

    The graph's outputs are what ``outputs`` makes the results of ``staged.finish`` from, then one for
    each write-back.  ``differentiable`` are the positions of graph outputs with a history.  ``signature`` is the graph,
    or has its types alone where ``whole`` gives the rest.  ``clear(args, kwargs)`` drops gradients that the function
    drops before it computes anything, so that new ones may take their memory; ``cleared`` has the paths of their
    tensors.
    """

    signature: Graph
    staged: Staged
    outputs: list[Output]
    differentiable: list[int]
    facts: tuple[Guard, ...]
    cleared: tuple[Path, ...] = ()
    whole: Callable[[], Graph] | None = None
    nodes: int = 0
    notes: tuple[Note | str, ...] = ()  # the branches and loops that the program decides
    outcomes: Outcomes = ()  # of the tests of its course
    constants: Mapping[int, Tensor] = field(default_factory=dict)  # frozen tensors, by the number of their input

    @property
    def size(self) -> int:
        """How many nodes the graph has."""
        return len(self.signature) if self.whole is None else self.nodes

    @cached_property
    def has_checks(self) -> bool:
        """Whether a call may fail in a way that is Python's to deal with; records keep no such traces."""
        return self.whole is None and any(map(has_effect, self.signature.nodes))

    @cached_property
    def graph(self) -> Graph:
        """The graph with its nodes."""
        return self.signature if self.whole is None else self.whole()

    @cached_property
    def clear(self) -> Callable[[tuple[Any, ...], Mapping[str, Any]], None]:
        writer = Writer()
        for path in self.cleared:
            writer.emit(f"{writer.path(path)}._grad = None")
        writer.emit("return None")
        return writer.function("clear", "A, K")[0]


def trace(
    function: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    dynamic: frozenset[Path] = frozenset(),
    name: str = "main",
    builder: TraceBuilder | None = None,
    facts: Facts | None = None,
    course: Course | None = None,
) -> Traced:
    """Run ``function`` once and record it, by ``builder`` or a new one.  Nothing outside changes.

    ``course``: the one that the trace follows, if there may be programs for others.  A given ``builder`` keeps the
    memory that it knows.  ``facts``: where what is assumed of symbolic sizes is kept, for a caller that needs it where
    tracing fails, too.
    """
    is_own, builder = builder is None, TraceBuilder(Graph(name)) if builder is None else builder
    builder.owned_from = getattr(function, "__jit_arguments__", sys.maxsize)
    recorder = TensorRecorder(builder)
    recorder.stager.course = course
    tape = Tape(builder)
    token = dispatch.set_grad_enabled_flag(dispatch.is_grad_enabled())
    try:
        with Facts() if facts is None else facts as facts, dispatch.interpreting(tape):
            facts.assume = builder.assume
            staged = stage(function, args, kwargs, recorder, dynamic)
            if staged.refused is not None:
                return Traced(builder.graph, staged, [], [], facts.guards)
            graph = builder.graph
            graph.outputs, outputs = plan_outputs(staged.outputs, builder)
            for root in builder.written():
                graph.outputs.append(root.cell.value)
                graph.writes = (*graph.writes, (root.number, len(graph.outputs) - 1))
            alive = {o.source for o in outputs if o.history == "alive" and not o.stored}
            if alive and builder.watched:
                why = (
                    "a hook, an autograd.Function, retain_grad() or requires_grad_() inside, "
                    "with a gradient that is computed outside"
                )
                return Traced(
                    graph, replace(staged, refused=Refuse("outside-tensor", why, builder.watched)), [], [], facts.guards
                )
            name_bound_sizes(graph)
            if alive:
                mark_stopped(graph, builder.stopped)
            cleared = tuple(filter(None, map(builder.trace.path_of, builder.cleared)))
            notes = tuple(recorder.stager.notes)
            outcomes = () if course is None else tuple(course.taken)
            return Traced(
                graph,
                staged,
                outputs,
                sorted(alive),
                facts.guards,
                cleared,
                notes=notes,
                outcomes=outcomes,
                constants=dict(sorted(builder.constants.items())),
            )
    finally:
        if is_own:
            builder.release()
        dispatch.reset_grad_enabled(token)


def mark_stopped(graph: Graph, stopped: set[Value]) -> None:
    """Put a ``detach`` after each value through which no gradient may flow."""
    nodes = []
    for node in graph:
        nodes.append(node)
        for value in node.outputs:
            if value not in stopped or not isinstance(value.type, TensorType) or not value.uses:
                continue
            users = tuple(value.uses)
            barrier = type(node)(OPS["detach"], (value,), {}, (value.type,), node.loc)
            for user, i in users:
                user.set_input(i, barrier.output)
            graph.outputs = [barrier.output if v is value else v for v in graph.outputs]
            nodes.append(barrier)
    graph.nodes = nodes
