"""From a function to a graph whose inputs are its arguments and the tensors it closes over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jitorch import Tensor, default_generator
from jitorch.dims import Facts, Guard
from jitorch.errors import ShapeError, UnsupportedError, ValueRangeError
from jitorch.frontend.trace.capture import Captured, Slot, capture, without_gradients
from jitorch.ir.graph import Graph
from jitorch_onnx.arguments import Argument, leaves


@dataclass(frozen=True, slots=True)
class Traced:
    """``graph`` takes the arguments and then ``parameters``.

    ``outputs`` are the places of its outputs in what the function returned: tensors, and numbers that depend on data;
    ``limits`` what had to be assumed of the dynamic axes.
    """

    graph: Graph
    parameters: list[tuple[str, Tensor]]
    outputs: list[str]
    limits: list[str]


def trace(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], arguments: Sequence[Argument]
) -> Traced:
    """Run ``function`` once on tensors without data; branches and loops that depend on data are part of the graph."""
    types = [a.type for a in arguments]
    found = without_gradients(lambda: _captured(function, tuple(args), kwargs, types))
    _refuse_fixed(found.graph.facts)
    names = {id(default_generator.state): "the random generator"} | _state_names(function)
    parameters = [(names.get(id(t), f"captured_{i}"), t) for i, t in enumerate(found.tensors)]
    graph = found.graph
    written = [parameters[i - len(types)][0] for i, _ in graph.writes if i >= len(types)]
    _refuse_writes([*written, *(names.get(id(t), "a tensor") for t in found.dropped)])
    results = {path: graph.outputs[leaf.number] for path, leaf in leaves(found.result) if isinstance(leaf, Slot)}
    graph.outputs, graph.writes = list(results.values()), ()
    return Traced(graph, parameters, list(results), [str(g) for g in found.graph.facts])


def _captured(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], types: Any) -> Captured:
    facts = Facts()
    try:
        return capture(function, args, kwargs, types, _name_of(function), drops_writes=True, facts=facts)
    except ShapeError:
        # Where sizes must be equal that are so by accident, what follows fails: the cause is the better message.
        _refuse_fixed(facts.guards)
        raise


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


def _refuse_writes(names: Sequence[str]) -> None:
    if names:
        raise UnsupportedError(
            "export: the function writes to tensors that it does not own, which an ONNX file cannot",
            actual=", ".join(names), hint="export in eval mode: model.eval(); random numbers cannot be exported",
        )  # fmt: skip
