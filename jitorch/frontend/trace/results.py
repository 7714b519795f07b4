"""Results of a trace: what the program computes, and what is made again as a view of it or of an input.

A result that shares memory with an input, or with another result, must still do so after a compiled call.  Such
results are not computed: their view steps are applied to the tensor they are a view of, as ops of the interpreter in
force, so that their history is right, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jitorch import dims
from jitorch.dims import Symbol, SymDim
from jitorch.errors import CompilerBug
from jitorch.frontend.eager.differentiable import JITTED
from jitorch.frontend.eager.tape import GradNode
from jitorch.frontend.eager.views import Views
from jitorch.frontend.python.recorder import Refuse
from jitorch.ir.graph import Value
from jitorch.ops import dispatch
from jitorch.passes.control import bound_sizes
from jitorch.tensor import Step, Storage, Tensor

if TYPE_CHECKING:
    from jitorch.frontend.trace.tracer import TraceBuilder

_WHOLE = frozenset(("reshape_to", "transpose_axes", "broadcast_to"))
"""Views that show all of their operand: computing the operand instead costs nothing, and keeps the strides.

A shape alone keeps them too; of what nobody else shows it is computed, since then there is nothing to do after a call.
"""


def _used_up(tensor: Tensor) -> None:
    """Give ``tensor`` the history of a result whose ``backward()`` ran inside of the compiled function."""
    node = GradNode(JITTED, (), {}, _no_vjp, dispatch.current().inner)  # type: ignore[attr-defined]
    node.finish((tensor,), lambda _: 0)
    node.release()


def _no_vjp(*args: Any, **attrs: Any) -> Any:
    raise CompilerBug("the gradient of a history that was released")


@dataclass(frozen=True, slots=True)
class Output:
    """One result: the graph's output (``stored``: input) number ``source``, seen through ``steps``.

    ``history``: ``alive``, ``dead`` (used up inside), ``leaf`` (requires grad, made by nothing) or ``none``.
    ``donated``: the result lies in the memory of that input, which is nobody else's.
    """

    source: int
    stored: bool = False
    steps: tuple[Step, ...] = ()
    history: str = "none"
    donated: bool = False
    views: Views | None = field(init=False, compare=False, repr=False)
    """What makes the result where its steps are the same in every call and record nothing."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "views", Views(self.steps) if self._is_plain_view() else None)

    def _is_plain_view(self) -> bool:
        if not self.steps or self.history != "none" or any(op.name == "detach" for op, _ in self.steps):
            return False
        return not any(isinstance(d, SymDim) for d in _numbers(self.steps))

    def make(self, results: Sequence[Any], inputs: Sequence[Any], sizes: Callable[[], Mapping[str, int]]) -> Any:
        """The result, from those of the program and its inputs; ``sizes`` gives the symbolic ones."""
        made = inputs[self.source] if self.stored else results[self.source]
        if self.donated:
            made = Tensor._from_array(made._array)
        if self.views is not None and (view := self.views.of(made)) is not None:
            return view
        if self.steps:
            token = dispatch.set_grad_enabled_flag(self.history in ("alive", "dead"))
            try:
                for op, attrs in self.steps:
                    made = made.detach() if op.name == "detach" else op(made, **_fixed(attrs, sizes))  # type: ignore[operator]
            finally:
                dispatch.reset_grad_enabled(token)
        if self.history == "dead":
            _used_up(made)
        elif self.history == "leaf":
            made._requires_grad = True
        return made


def _fixed(attrs: dict[str, Any], sizes: Callable[[], Mapping[str, int]]) -> dict[str, Any]:
    """Attributes with numbers for symbolic sizes."""

    def fix(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(fix, value))
        return dims.evaluate(value, sizes()) if isinstance(value, SymDim) else value

    return {name: fix(value) for name, value in attrs.items()}


def _mentions(steps: Sequence[Step], sizes: set[Symbol]) -> bool:
    """Whether view steps need one of ``sizes``."""
    return any(s in sizes for d in _numbers(steps) if isinstance(d, SymDim) for s in dims.symbols(d))


def _numbers(steps: Sequence[Step]) -> set[Any]:
    """The attributes of view steps: sizes, bounds and axes."""
    return {
        d for _, attrs in steps for value in attrs.values() for d in (value if isinstance(value, tuple) else (value,))
    }


def _changes_strides(steps: Sequence[Step]) -> bool:
    """Whether the steps show all of a value in another order, or some of it again and again."""
    names = {op.name for op, _ in steps}
    return names <= _WHOLE and bool(names - {"reshape_to"})


def plan_outputs(values: Sequence[Any], builder: TraceBuilder) -> tuple[list[Value], list[Output]]:
    """The graph's outputs, and how the results ``values`` of a trace are made from them."""
    carried: list[Value] = []
    carriers: dict[Storage, int] = {}
    sharing: dict[Storage, int] = {}
    for t in values:
        if isinstance(t, Tensor):
            sharing[t._storage] = sharing.get(t._storage, 0) + 1
    outputs: list[Output] = []
    bound = bound_sizes(builder.graph)

    def carry(value: Value) -> int:
        carried.append(value)
        return len(carried) - 1

    for t in values:
        if not isinstance(t, Tensor):
            outputs.append(Output(carry(builder.lift(t))))  # type: ignore[arg-type]
            continue
        cell, root, history = builder.cell(t), builder.roots.get(t._storage), _history(t)
        steps = t._steps[cell.depth :]
        if _mentions(steps, bound):
            # The size is not known to who would apply the steps.
            if root is not None or sharing[t._storage] > 1:
                raise Refuse("alias", "two results that share memory, of a size that the program computes")
            outputs.append(Output(carry(builder.value(t)), False, (), history))
        elif root is not None:
            outputs.append(Output(root.number, True, steps, history))
        elif sharing[t._storage] == 1 and not _changes_strides(steps):
            outputs.append(Output(carry(builder.value(t)), False, (), history))
        else:
            number = carriers.get(t._storage)
            if number is None:
                number = carriers[t._storage] = carry(cell.value)
            outputs.append(Output(number, False, steps, history))
    return carried, outputs


def _history(tensor: Tensor) -> str:
    if tensor._node is None:
        return "leaf" if tensor._requires_grad else "none"
    return "dead" if tensor._node.operands is None else "alive"
