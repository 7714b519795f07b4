"""The autograd engine: a tape over whatever interpreter runs the ops.

`Tape` passes each op on and, where an operand requires grad, keeps a `GradNode` with what the op's
vjp rule needs.  `run_backward` calls those rules, which are ordinary ops again: recorded themselves
under ``create_graph``, and appended to the graph when a trace is what runs below.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.errors import AutogradError, CompilerBug
from jitorch.frontend.eager.cotangents import RULES
from jitorch.frontend.eager.interpreter import StaleTensor, stale_error
from jitorch.ir.op import Op
from jitorch.ir.types import TensorType
from jitorch.ops import dispatch
from jitorch.ops.create import constant
from jitorch.ops.dispatch import Interpreter
from jitorch.ops.structure import broadcast_to, copy
from jitorch.tensor import Step, Tensor

_sequence = count()

Edge = tuple["GradNode", int] | Tensor | None
"""Where a cotangent goes: an output of a node, a leaf, or nowhere."""


class GradNode:
    """One recorded op call; users see it as ``grad_fn``."""

    __slots__ = (
        "__weakref__", "_hooks", "_retained", "attrs", "edges", "number", "op", "operands", "outputs", "owner", "types",
        "versions", "vjp",
    )  # fmt: skip

    def __init__(
        self, op: Op, operands: Sequence[Any], attrs: dict[str, Any], vjp: Callable[..., Any], owner: Interpreter
    ):
        self.op, self.attrs, self.vjp, self.owner = op, attrs, vjp, owner
        self.operands: tuple[Any, ...] | None = tuple(operands)
        self.edges: tuple[Edge, ...] = tuple(edge_of(x, owner) for x in operands)
        self.number = next(_sequence)
        self.outputs: tuple[Any, ...] = ()
        self.types: tuple[Any, ...] = ()
        self.versions: tuple[int, ...] = ()
        self._hooks: dict[int, dict[int, Callable[..., Any]]] | None = None
        self._retained: dict[int, Tensor] | None = None

    def name(self) -> str:
        """As PyTorch spells it: ``MulBackward0``."""
        return "".join(part.capitalize() for part in self.op.name.split("_")) + "Backward0"

    def __repr__(self) -> str:
        return f"<{self.name()}>"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes this one sends gradients to, with the output index; leaves stand for themselves."""
        return tuple(e if isinstance(e, tuple) else (e, 0) for e in self.edges)

    def hooks_of(self, output: int) -> dict[int, Callable[..., Any]]:
        if self._hooks is None:
            self._hooks = {}
        return self._hooks.setdefault(output, {})

    def retain(self, tensor: Tensor) -> None:
        if self._retained is None:
            self._retained = {}
        self._retained[tensor._output] = tensor

    def finish(self, outputs: Sequence[Any], version: Callable[[Any], int]) -> None:
        """Attach the results: tensors, and numbers or tokens, which have no gradient.

        They are saved without history: a node that held its own result would never be freed.
        """
        self.types = tuple(t._type if isinstance(t, Tensor) else None for t in outputs)
        self.outputs = tuple(t._alias() if isinstance(t, Tensor) else t for t in outputs)
        for i, t in enumerate(outputs):
            if isinstance(t, Tensor) and t._type.dtype.category >= dtypes.Category.FLOAT:
                t._node, t._output = self, i
        saved = (*self.operands, *self.outputs)  # type: ignore[misc]
        self.versions = tuple(version(t) if isinstance(t, Tensor) else 0 for t in saved)

    def release(self) -> None:
        """Forget what was saved; a second backward is then an error."""
        self.operands, self.outputs = None, ()

    def unpack(self, interpreter: Interpreter, keep_history: bool) -> tuple[Sequence[Any], Sequence[Any]]:
        """The saved operands and outputs; one that was overwritten since has no data."""
        if self.operands is None:
            raise _released()
        saved: list[Any] = [*self.operands, *self.outputs]
        for i, (t, version) in enumerate(zip(saved, self.versions)):
            if isinstance(t, Tensor) and interpreter.version(t) != version:
                saved[i] = StaleTensor.of(t._type)
        n = len(self.operands)
        operands, outputs = saved[:n], saved[n:]
        if keep_history:
            outputs = [_with_history(t, self, i) for i, t in enumerate(outputs)]
        return operands, outputs


_NO_ATTRS: dict[str, Any] = {}


class ElementNode(GradNode):
    """One recorded call of an elementwise op on stored tensors and numbers, by the short way.

    It keeps the array and the storage of its result in the place of a tensor, and the numbers among
    its operands as they are.  Machine code makes such nodes, too: see `jitorch.frontend.eager.native`.
    """

    __slots__ = ("array", "storage")

    def __init__(self, op: Op, operands: tuple[Any, ...], result: Tensor):
        self.op, self.attrs, self.vjp, self.owner = op, _NO_ATTRS, op.rules["vjp"], dispatch.installed().inner  # type: ignore[attr-defined]
        self.operands: tuple[Any, ...] | None = operands
        self.edges: tuple[Edge, ...] = tuple([_stored_edge(x) for x in operands])
        self.number = next(_sequence)
        self.types, self.outputs = (result._type,), ()
        self.versions: tuple[int, ...] = tuple([x._storage.version if isinstance(x, Tensor) else 0 for x in operands])
        self._hooks = self._retained = None
        self.array, self.storage = result._array, result._storage
        result._node = self

    def release(self) -> None:
        self.operands = self.array = self.storage = None

    def unpack(self, interpreter: Interpreter, keep_history: bool) -> tuple[Sequence[Any], Sequence[Any]]:
        if self.operands is None:
            raise _released()
        type_: TensorType = self.types[0]
        operands = [
            (x if interpreter.version(x) == version else StaleTensor.of(x._type)) if isinstance(x, Tensor)
            else _filled(x, self.operands)
            for x, version in zip(self.operands, self.versions)
        ]  # fmt: skip
        if self.storage.version:  # type: ignore[union-attr]
            return operands, (StaleTensor.of(type_),)
        output = self.output()
        if keep_history:
            output._node = self
        return operands, (output,)

    def output(self) -> Tensor:
        """The result, without history."""
        return Tensor._of(self.array, self.types[0], self.storage)  # type: ignore[arg-type]

    def cotangents(self, g: Tensor) -> Sequence[Any] | None:
        """Those of the operands, where nothing is recorded; None if the op's own rule must be asked."""
        rule, operands = RULES.get(self.op.name), self.operands
        if rule is None or operands is None or self.storage.version:  # type: ignore[union-attr]
            return None
        for x, version in zip(operands, self.versions):
            if isinstance(x, Tensor) and x._storage.version != version:
                return None
        return rule(g, self.output, *operands, *[edge is not None for edge in self.edges])


def _filled(number: float, operands: Sequence[Any]) -> Tensor:
    """The tensor that stands for ``number`` among the operands of an elementwise op."""
    like: Any = next(x for x in operands if isinstance(x, Tensor))
    return Tensor._of(np.full(like._array.shape, number, like._array.dtype), like._type)


def _stored_edge(operand: Any) -> Edge:
    """`edge_of` where everything is eager's."""
    if not isinstance(operand, Tensor):
        return None
    if operand._node is not None:
        return operand._node, operand._output
    return operand if operand._requires_grad else None


def _released() -> AutogradError:
    return AutogradError(
        "backward through a graph a second time, after what it saved was freed",
        hint="pass retain_graph=True to the first backward()",
    )


def _with_history(tensor: Any, node: GradNode, output: int) -> Any:
    if not isinstance(tensor, Tensor) or isinstance(tensor, StaleTensor):
        return tensor
    tensor = tensor._alias()
    tensor._node, tensor._output = node, output
    return tensor


def edge_of(operand: Any, owner: Interpreter) -> Edge:
    """Where the gradient of ``operand`` goes.

    A tensor whose history belongs to another interpreter (an eager tensor that a trace reads) is a
    leaf here.
    """
    if not isinstance(operand, Tensor):
        return None
    if operand._node is not None:
        return (operand._node, operand._output) if operand._node.owner is owner else operand
    return operand if operand._requires_grad else None


def _not_differentiable(op: Op) -> Callable[..., Any]:
    def vjp(*args: Any, **attrs: Any) -> Any:
        raise AutogradError(f"{op.name} has no gradient", hint="detach() its operand if none is needed")

    return vjp


class Tape:
    """Records what backward needs, and passes ops on to ``inner``."""

    def __init__(self, inner: Interpreter):
        self.inner = inner
        self.version, self.from_array = inner.version, inner.from_array
        self.concretize, self.binds_size = inner.concretize, inner.binds_size
        self.get_grad, self.set_grad, self.detach = inner.get_grad, inner.set_grad, inner.detach
        self.alter, self.call = inner.alter, inner.call

    # -- forward ---------------------------------------------------------------------------------
    def apply(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        if not dispatch.is_grad_enabled() or op.name == "detach" or not self._requires_grad(operands):
            return self.inner.apply(op, operands, attrs)
        vjp = op.rules.get("vjp")
        if vjp is None and op.body is not None:
            return op.body(*op.group(operands), **attrs)
        node = self.node(op, operands, attrs, vjp or _not_differentiable(op))
        out = self.compute(op, operands, attrs)
        outputs = out if isinstance(out, tuple) else (out,)
        if any(isinstance(t, Tensor) for t in outputs):
            node.finish(outputs, self.inner.version)
        return out

    def compute(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """The results of a call that is recorded as a whole: what it is made of is not."""
        token = dispatch.enter(self.inner)
        try:
            return self.inner.apply(op, operands, attrs)
        finally:
            dispatch.leave(token)

    def node(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any], vjp: Callable[..., Any]) -> GradNode:
        """What keeps a call for its gradient."""
        return GradNode(op, operands, attrs, vjp, self.inner)

    def _requires_grad(self, operands: Sequence[Any]) -> bool:
        found = False
        for x in operands:
            if isinstance(x, Tensor):
                if x._base is not None and x._view_version != x._base._view_version:
                    self._refresh(x)
                found = found or x._requires_grad or x._node is not None
        return found

    def grad_node(self, tensor: Tensor) -> GradNode | None:
        self._requires_grad((tensor,))
        return tensor._node

    # -- in-place writes ---------------------------------------------------------------------------
    def write(self, target: Tensor, value: Tensor) -> None:
        recording = dispatch.is_grad_enabled()
        base = target if target._base is None else target._base
        if recording and base._requires_grad and base._node is None:
            what = "a leaf tensor" if base is target else "a view of a leaf tensor"
            raise AutogradError(
                f"{what} that requires grad is used in an in-place operation", hint="do it under jitorch.no_grad()"
            )
        changes_history = recording and self._requires_grad((value, target, base))
        if not changes_history:
            self.inner.write(target, value)
            return
        if value._node is None:
            value = copy(value)
        self.inner.write(target, value)
        self._rebase(target, base, value)

    def _rebase(self, target: Tensor, base: Tensor, value: Tensor) -> None:
        """Let the history of ``target``, and of the tensor it is a view of, run through ``value``."""
        if target is base:
            base._node, base._output = value._node, value._output
        else:
            result = _write_through(base, _steps_from(base, target), value)
            base._node, base._output = result._node, result._output
        base._view_version += 1
        if target is not base:
            self._refresh(target)

    def _refresh(self, view: Tensor) -> None:
        """Derive the history of ``view`` from that of its base, which was written to."""
        base = view._base
        if base is None:
            raise CompilerBug("only a view has a base to refresh from")
        view._view_version = base._view_version
        token = dispatch.set_grad_enabled_flag(True)
        try:
            # The history of a stored tensor is eager's, even where a trace is the first to ask for it.
            with dispatch.interpreting(self if base._array is None else dispatch.installed()):
                again = base
                for op, attrs in _steps_from(base, view):
                    again = op(again, **attrs)  # type: ignore[operator]
        finally:
            dispatch.reset_grad_enabled(token)
        view._node, view._output = again._node, again._output

    # -- backward --------------------------------------------------------------------------------
    def backward(
        self, tensor: Tensor, gradient: Tensor | None, retain_graph: bool | None, create_graph: bool, inputs: Any
    ) -> None:
        wanted = None if inputs is None else [inputs] if isinstance(inputs, Tensor) else list(inputs)
        run_backward([tensor], [gradient], retain_graph, create_graph, wanted, accumulate=True)


def _steps_from(base: Tensor, view: Tensor) -> tuple[Step, ...]:
    """The steps that lead from ``base``, which may be a part of a storage itself, to ``view``."""
    return view._steps[len(base._steps) :]


def _write_through(old: Tensor, steps: tuple[Step, ...], new: Tensor) -> Tensor:
    if not steps:
        return new
    op, attrs = steps[0]
    inner = op(old, **attrs) if len(steps) > 1 else old  # type: ignore[operator]
    return op.rules["write"](old, _write_through(inner, steps[1:], new), **attrs)


def _seed(tensor: Tensor, gradient: Tensor | None) -> Tensor:
    if not tensor.requires_grad:
        raise AutogradError(
            "the tensor does not require grad and has no grad_fn",
            hint="none of the tensors it was computed from requires grad, or it was computed under no_grad()",
        )
    if gradient is None:
        if tensor._type.shape and tensor.numel() != 1:
            raise AutogradError(
                "a gradient is implied only for a tensor of one element", expected="1 element", actual=tensor.type,
                hint="call .sum() or .mean() first, or pass gradient=",
            )  # fmt: skip
        if tensor._array is not None and dispatch.is_plain():
            return Tensor._from_array(np.ones_like(tensor._array))
        return broadcast_to(constant(value=1, dtype=tensor.dtype), shape=tensor._type.shape)
    if gradient.type != tensor.type:
        raise AutogradError("the gradient must have the tensor's type", expected=tensor.type, actual=gradient.type)
    return gradient


class _Run:
    """The state of one backward pass."""

    def __init__(self) -> None:
        self.pending: dict[GradNode, list[Any]] = {}
        self.heap: list[tuple[int, GradNode]] = []
        self.leaves: dict[int, tuple[Tensor, Tensor]] = {}
        self.shared: dict[int, Tensor] = {}  # gradients that somebody else holds, by identity

    def share(self, grad: Tensor) -> Tensor:
        """Remember that others hold ``grad``: it cannot become the ``.grad`` of a leaf."""
        self.shared[id(grad)] = grad
        return grad

    def send(self, edge: Edge, grad: Tensor) -> None:
        if edge is None:
            return
        if isinstance(grad, StaleTensor):
            raise stale_error(grad)
        if isinstance(edge, Tensor):
            known = self.leaves.get(id(edge))
            self.leaves[id(edge)] = (edge, grad if known is None else known[1] + grad)
            return
        node, output = edge
        slots = self.pending.get(node)
        if slots is None:
            slots = self.pending[node] = [None] * len(node.types)
            heapq.heappush(self.heap, (-node.number, node))
        slots[output] = grad if slots[output] is None else slots[output] + grad


def run_backward(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    retain_graph: bool | None,
    create_graph: bool,
    inputs: Sequence[Tensor] | None,
    accumulate: bool,
    owner: Interpreter | None = None,
) -> list[Tensor | None]:
    """Propagate ``gradients`` from ``outputs`` to the leaves, or to ``inputs`` only.

    With ``accumulate`` the results are added to ``.grad``; else those of ``inputs`` are returned.  ``owner``: whose
    history it is, by default that of what runs ops now.
    """
    retain = create_graph if retain_graph is None else retain_graph
    owner = dispatch.current().inner if owner is None else owner  # type: ignore[attr-defined]
    token = dispatch.set_grad_enabled_flag(create_graph)
    try:
        run = _Run()
        for tensor, gradient in zip(outputs, gradients, strict=True):
            run.send(edge_of(tensor, owner), run.share(_seed(tensor, gradient)))
        edges = None if inputs is None else [edge_of(t, owner) for t in inputs]
        wanted = None if edges is None else _ancestors([edge_of(t, owner) for t in outputs], edges, owner)
        captured = _propagate(run, edges, wanted, retain, create_graph)
        if not accumulate:
            return captured
        _accumulate(run, inputs, captured)
        return []
    finally:
        dispatch.reset_grad_enabled(token)


def _ancestors(outputs: Sequence[Edge], edges: Sequence[Edge], owner: Interpreter) -> set[GradNode]:
    """The nodes between ``outputs`` and ``edges``: only those need to run.

    ``owner`` may refuse what ends at a tensor with a history of others, which might lead to one of ``edges``, too.
    """
    ends = {id(e) if isinstance(e, Tensor) else id(e[0]) for e in edges if e is not None}
    on_outside: Callable[[Tensor], None] | None = getattr(owner, "refuse_history", None)
    order: list[GradNode] = []
    seen: set[GradNode] = set()
    stack = [e[0] for e in outputs if isinstance(e, tuple)]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            order.append(node)
            stack.extend(e[0] for e in node.edges if isinstance(e, tuple))
    if on_outside is not None:
        for e in (*outputs, *(e for node in order for e in node.edges)):
            if isinstance(e, Tensor) and e._node is not None and any(end is not e for end in edges):
                on_outside(e)
    needed: set[GradNode] = set()
    for node in sorted(order, key=lambda n: n.number):
        for e in node.edges:
            if e is not None and (id(e) in ends if isinstance(e, Tensor) else id(e[0]) in ends or e[0] in needed):
                needed.add(node)
    return needed


def _propagate(
    run: _Run, edges: list[Edge] | None, wanted: set[GradNode] | None, retain: bool, create_graph: bool
) -> list[Tensor | None]:
    captured: list[Tensor | None] = [None] * len(edges or ())
    while run.heap:
        _, node = heapq.heappop(run.heap)
        grads = run.pending.pop(node)
        if node._hooks is not None or node._retained is not None:
            grads = _through_hooks(run, node, grads)
        for i, edge in enumerate(edges or ()):
            if isinstance(edge, tuple) and edge[0] is node:
                captured[i] = grads[edge[1]]
        if wanted is None or node in wanted:
            found = None if create_graph or type(node) is not ElementNode else node.cotangents(grads[0])
            for edge, grad in zip(node.edges, call_vjp(node, grads, create_graph) if found is None else found):
                if edge is not None and grad is not None:
                    run.send(edge, grad)
        if not retain:
            node.release()
    for leaf, grad in list(run.leaves.values()):
        run.leaves[id(leaf)] = (leaf, _call_hooks(run, leaf._hooks, grad))
    for i, edge in enumerate(edges or ()):
        if isinstance(edge, Tensor) and id(edge) in run.leaves:
            captured[i] = run.leaves[id(edge)][1]
    return captured


def call_vjp(node: GradNode, grads: list[Any], create_graph: bool) -> list[Any]:
    """The cotangents of ``node``'s operands, flat."""
    operands, outputs = node.unpack(dispatch.current(), create_graph)
    op = node.op
    if len(node.types) == 1:
        g, out = grads[0], outputs[0]
    else:
        g = tuple(
            broadcast_to(constant(value=0, dtype=t.dtype), shape=t.shape)
            if x is None and t is not None and op.lowering != "control"
            else x
            for x, t in zip(grads, node.types)
        )
        out = tuple(outputs)
    result = node.vjp(g, out, *op.group(operands), **node.attrs)
    flat = op.cotangents(result, [edge is not None for edge in node.edges])
    for operand, grad in zip(operands, flat):
        if grad is not None and isinstance(operand, Tensor) and grad.type != operand.type:
            raise CompilerBug(
                f"the vjp of {op.name} gave a gradient of the wrong type", expected=operand.type, actual=grad.type
            )
    return flat


def _through_hooks(run: _Run, node: GradNode, grads: list[Any]) -> list[Any]:
    if node._hooks is not None:
        for output, hooks in node._hooks.items():
            if grads[output] is not None:
                grads[output] = _call_hooks(run, hooks, grads[output])
    if node._retained is not None:
        for output, tensor in node._retained.items():
            if grads[output] is not None:
                _add_grad(tensor, run.share(grads[output]))
    return grads


def _call_hooks(run: _Run, hooks: dict[int, Callable[..., Any]] | None, grad: Tensor) -> Tensor:
    for hook in tuple((hooks or {}).values()):
        replaced = dispatch.current().call(hook, run.share(grad))
        if replaced is None:
            continue
        if not isinstance(replaced, Tensor) or replaced.type != grad.type:
            actual = replaced.type if isinstance(replaced, Tensor) else type(replaced).__name__
            raise AutogradError(
                "a hook must return None or a gradient of the type it got", expected=grad.type, actual=actual
            )
        grad = run.share(replaced)
    return grad


def _add_grad(tensor: Tensor, grad: Tensor) -> None:
    interpreter = dispatch.current()
    old = interpreter.get_grad(tensor)
    if old is not None and not dispatch.is_grad_enabled():
        interpreter.write(old, old + grad)  # whoever holds the gradient sees the sum, as in PyTorch
    else:
        interpreter.set_grad(tensor, grad if old is None else old + grad)


def _accumulate(run: _Run, inputs: Sequence[Tensor] | None, captured: list[Tensor | None]) -> None:
    pairs = list(run.leaves.values()) if inputs is None else list(zip(inputs, captured))
    given: set[int] = set()
    for tensor, grad in pairs:
        if grad is None:
            continue
        if id(grad) in given or id(grad) in run.shared or grad._root is not None:
            # A vjp may hand one tensor to two operands, or a part of another; each leaf owns its gradient.
            grad = copy(grad)
        given.add(id(grad))
        _add_grad(tensor, grad)
