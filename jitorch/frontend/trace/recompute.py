"""Checkpoints: a part of a computation whose gradient keeps its inputs and computes the rest again.

T. Chen et al., "Training deep nets with sublinear memory cost", 2016 (arXiv:1604.06174).

Eager, the tape records the part as always, but its nodes let go of what they would save.  The first of them that
backward reaches runs the function again, recorded anew, and each takes what the node in its place saved there.  In a
compiled function the part is one op, `jitorch.ops.control.recomputed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from jitorch.errors import ArgumentError, AutogradError
from jitorch.frontend.eager.interpreter import stale_error
from jitorch.frontend.eager.tape import GradNode, Tape
from jitorch.frontend.pytree import flatten, unflatten
from jitorch.frontend.trace import closing
from jitorch.frontend.trace.tracer import mark_stopped
from jitorch.ir.op import Op
from jitorch.ops import dispatch
from jitorch.ops.control import recomputed
from jitorch.ops.dispatch import Interpreter
from jitorch.ops.generator import the_default
from jitorch.tensor import Tensor

Contexts = Callable[[], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]]


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Contexts = lambda: (nullcontext(), nullcontext()),
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, of which backward keeps the arguments only and computes the rest again.

    The results, gradients of any order among them, are those of the plain call.  ``preserve_rng_state``: random values
    are drawn again as they were.  ``context_fn`` gives a context for the first run and one for the second.
    ``use_reentrant``, ``determinism_check``, ``debug`` and ``early_stop`` are accepted and change nothing: tensors that
    ``function`` reads from elsewhere get gradients, and a second run that does something else is an error.
    """
    if determinism_check not in ("default", "none"):
        raise ArgumentError("checkpoint: determinism_check", expected="'default' or 'none'", actual=determinism_check)
    builder = closing.tracing()
    if builder is not None:
        return _staged(builder, function, args, kwargs)
    tape: Any = dispatch.current()
    if not dispatch.is_grad_enabled() or not isinstance(tape, Tape):
        return dispatch.current().call(function, *args, **kwargs)
    first, again = context_fn()
    frame = Frame(function, args, kwargs, tape.inner, again, preserve_rng_state)
    with first, dispatch.interpreting(Forgetting(frame)):
        return function(*args, **kwargs)


class Frame:
    """One call: how to run it again, and what its nodes saved when it was."""

    def __init__(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], inner: Interpreter,
        context: AbstractContextManager[Any], preserve_rng_state: bool,
    ):  # fmt: skip
        self.function, self.args, self.kwargs, self.inner, self.context = function, args, kwargs, inner, context
        self.state = the_default().get_state() if preserve_rng_state else None
        self.tensors = [x for x in flatten((list(args), kwargs))[0] if isinstance(x, Tensor)]
        self.versions = [inner.version(t) for t in self.tensors]
        self.ops: list[Op] = []
        self.nodes: list[GradNode] = []
        self.released = 0

    def add(self, op: Op) -> int:
        """The place of one more node."""
        self.ops.append(op)
        return len(self.ops) - 1

    def saved(self, place: int) -> GradNode:
        """The node in this place of the second run."""
        if not self.nodes or self.nodes[place].operands is None:
            # A gradient of the gradient has gone through the second run itself, and freed it.
            self._run_again()
        return self.nodes[place]

    def release(self) -> None:
        """One node is done; what the second run saved goes when all are, or when another is to come."""
        self.released += 1
        if self.released >= len(self.ops):
            self.nodes, self.released = [], 0

    def _run_again(self) -> None:
        version = dispatch.current().version
        for t, old in zip(self.tensors, self.versions):
            if version(t) != old:
                raise stale_error(t)
        recording = Recording(self.inner)
        token = dispatch.set_grad_enabled_flag(True)
        try:
            with self.context, _random_state(self.state), dispatch.interpreting(recording):
                self.function(*self.args, **self.kwargs)
        finally:
            dispatch.reset_grad_enabled(token)
        if [node.op for node in recording.nodes] != self.ops:
            raise AutogradError(
                "checkpoint: the function did something else when it was run again",
                expected=f"{len(self.ops)} operations to differentiate", actual=len(recording.nodes),
                hint="let it depend on its arguments and on what does not change",
            )  # fmt: skip
        self.nodes = recording.nodes


@contextmanager
def _random_state(state: Tensor | None) -> Iterator[None]:
    """Draw from ``state`` in this block, and go on afterwards as if nothing had been drawn."""
    if state is None:
        yield
        return
    generator = the_default()
    now = generator.get_state()
    generator.set_state(state)
    try:
        yield
    finally:
        generator.set_state(now)


class Recording(Tape):
    """A tape that knows its nodes."""

    def __init__(self, inner: Interpreter):
        super().__init__(inner)
        self.nodes: list[GradNode] = []

    def node(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any], vjp: Callable[..., Any]) -> GradNode:
        made = super().node(op, operands, attrs, vjp)
        self.nodes.append(made)
        return made


class Forgetting(Tape):
    """A tape whose nodes save nothing."""

    def __init__(self, frame: Frame):
        super().__init__(frame.inner)
        self.frame = frame

    def node(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any], vjp: Callable[..., Any]) -> GradNode:
        return ForgetfulNode(self.frame, op, operands, attrs, vjp, self.inner)


class ForgetfulNode(GradNode):
    """A recorded call that finds what it needs in the second run of its frame."""

    __slots__ = ("frame", "place")

    def __init__(
        self, frame: Frame, op: Op, operands: Sequence[Any], attrs: dict[str, Any], vjp: Callable[..., Any],
        owner: Interpreter,
    ):  # fmt: skip
        super().__init__(op, operands, attrs, vjp, owner)
        self.frame, self.place = frame, frame.add(op)

    def finish(self, outputs: Sequence[Any], version: Callable[[Any], int]) -> None:
        super().finish(outputs, version)
        self.operands, self.outputs = (), ()

    def release(self) -> None:
        if self.operands is not None:
            self.frame.release()
        super().release()

    def unpack(self, interpreter: Interpreter, keep_history: bool) -> tuple[Sequence[Any], Sequence[Any]]:
        if self.operands is None:
            return super().unpack(interpreter, keep_history)
        return self.frame.saved(self.place).unpack(interpreter, keep_history)


def _staged(builder: Any, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The call as one op of the trace."""
    leaves, structure = flatten((tuple(args), kwargs))
    given = [x for x in leaves if isinstance(x, Tensor)]
    made: list[Any] = []

    def part_of(tensors: list[Tensor]) -> list[Tensor]:
        rest = iter(tensors)
        positional, named = unflatten([next(rest) if isinstance(x, Tensor) else x for x in leaves], structure)
        results, result_structure = flatten(dispatch.current().call(function, *positional, **named))
        made[:] = [results, result_structure]
        return [x for x in results if isinstance(x, Tensor)]

    part = closing.traced_part(builder, part_of, [t.type for t in given], [t.requires_grad for t in given])
    mark_stopped(part.graph, builder.stopped)
    results, result_structure = made
    if not part.graph.outputs:
        return unflatten(results, result_structure)
    found = recomputed([*given, *part.operands], body=part.graph)
    outputs = list(found) if isinstance(found, tuple) else [found]
    closing.put_back(builder, part, outputs[part.count :])
    rest = iter(outputs)
    return unflatten([next(rest) if isinstance(x, Tensor) else x for x in results], result_structure)
