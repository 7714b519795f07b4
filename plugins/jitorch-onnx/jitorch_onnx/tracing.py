"""From a function to a graph whose inputs are its arguments and the tensors it closes over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jitorch import Tensor, default_generator
from jitorch.dims import Guard
from jitorch.errors import ShapeError, UnsupportedError, ValueRangeError
from jitorch.frontend.capture import CapturingBuilder
from jitorch.ir.graph import Graph
from jitorch_onnx.arguments import Argument, leaves, rebuilt


@dataclass(frozen=True, slots=True)
class Traced:
    """``graph`` takes the arguments and then ``parameters``.

    ``outputs`` are the places of its outputs in what the function returned; ``limits`` what had to be
    assumed of the dynamic axes.
    """

    graph: Graph
    parameters: list[tuple[str, Tensor]]
    outputs: list[str]
    limits: list[str]


def trace(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], arguments: Sequence[Argument]
) -> Traced:
    """Run ``function`` once on tensors without data; a module is left as it was."""
    builder = CapturingBuilder(_name_of(function))
    stand_ins = iter([builder.add_argument(a.type) for a in arguments])
    new_args, new_kwargs = rebuilt((tuple(args), dict(kwargs)), stand_ins)
    names = {id(default_generator.state): "the random generator"} | _state_names(function)
    try:
        results = _results(function, new_args, new_kwargs, builder)
    except ShapeError:
        # Where sizes must be equal that are so by accident, what follows fails: the cause is the better message.
        _refuse_fixed(builder.guards)
        raise
    _refuse_fixed(builder.guards)
    graph = builder.finish([leaf for _, leaf in results])
    parameters = [(names.get(id(t), f"captured_{i}"), t) for i, t in enumerate(builder.parameters)]
    _refuse_writes([name for name, t in parameters if any(t is w for w in builder.written)])
    return Traced(graph, parameters, [path for path, _ in results], [str(g) for g in builder.guards])


def _results(
    function: Callable[..., Any], args: Any, kwargs: Any, builder: CapturingBuilder
) -> list[tuple[str, Tensor]]:
    """What ``function`` returns, by place."""
    with _unchanged(function), builder.recording():
        return [(path, leaf) for path, leaf in leaves(function(*args, **kwargs)) if isinstance(leaf, Tensor)]


def _refuse_fixed(guards: Sequence[Guard]) -> None:
    fixed = [str(g) for g in guards if g.relation == "=="]
    if fixed:
        raise ValueRangeError(
            "export: the function works for some sizes of the dynamic axes only", actual=", ".join(fixed),
            hint="give equal axes one name, and leave axes of one size out of dynamic_axes",
        )  # fmt: skip


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__).strip("<>")


def _modules(function: Callable[..., Any]) -> dict[str, Any]:
    """The modules in ``function`` by their path, itself first; none if it is a plain function."""
    return dict(function.named_modules()) if hasattr(function, "named_modules") else {}  # type: ignore[attr-defined]


def _state_names(function: Callable[..., Any]) -> dict[int, str]:
    """The names of a module's parameters and buffers, by the identity of the tensor."""
    found: dict[int, str] = {}
    if _modules(function):
        for named in (function.named_parameters(), function.named_buffers()):  # type: ignore[attr-defined]
            for name, tensor in named:
                found.setdefault(id(tensor), name)
    return found


@contextmanager
def _unchanged(function: Callable[..., Any]) -> Iterator[None]:
    """Give modules back the attributes they had: tensors without data must not stay in them.

    UnsupportedError where a parameter or buffer was replaced, for an ONNX file cannot do that.
    """
    before = {path: (m, dict(vars(m)), _state(m)) for path, m in _modules(function).items()}
    try:
        yield
    finally:
        replaced = []
        for path, (module, attributes, state) in before.items():
            replaced += [f"{path}.{name}".lstrip(".") for name in _restored(module, attributes, state)]
    _refuse_writes(replaced)


def _state(module: Any) -> dict[str, dict[str, Any]]:
    """The registers of a module: parameters, buffers, submodules, ..."""
    return {name: dict(value) for name, value in vars(module).items() if isinstance(value, dict)}


def _restored(module: Any, attributes: dict[str, Any], state: dict[str, dict[str, Any]]) -> list[str]:
    """Undo what was assigned; returns the tensors among what had been there."""
    vars(module).clear()
    vars(module).update(attributes)
    replaced = []
    for register, items in state.items():
        now = attributes[register]
        replaced += [name for name, item in items.items() if isinstance(item, Tensor) and now.get(name) is not item]
        now.clear()
        now.update(items)
    return replaced


def _refuse_writes(names: Sequence[str]) -> None:
    if names:
        raise UnsupportedError(
            "export: the function writes to tensors that it does not own, which an ONNX file cannot",
            actual=", ".join(names), hint="export in eval mode: model.eval(); random numbers cannot be exported",
        )  # fmt: skip
