"""From a function to a graph whose inputs are its arguments and the tensors it closes over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jitorch import Tensor, dims
from jitorch.builder import Cell, GraphBuilder
from jitorch.errors import UnsupportedError, ValueRangeError
from jitorch.ir.graph import Graph
from jitorch.ops import dispatch

from jitorch_onnx.arguments import Argument, leaves, rebuilt


@dataclass(frozen=True, slots=True)
class Traced:
    """The graph (arguments first, then ``parameters``), and the paths of the results that are its outputs."""

    graph: Graph
    parameters: list[tuple[str, Tensor]]
    outputs: list[str]
    limits: list[str]


class _Recorder(GraphBuilder):
    """Makes an input of each tensor with data that the function meets."""

    def __init__(self, graph: Graph, names: Mapping[int, str]):
        super().__init__(graph, locations=True)
        self.names = names
        self.parameters: list[tuple[str, Tensor]] = []
        self.captured: list[Cell] = []

    def capture(self, tensor: Tensor) -> Cell:
        root = tensor if tensor._base is None else tensor._base
        name = self.names.get(id(root), f"captured_{len(self.parameters)}")
        self.parameters.append((name, root))
        cell = Cell(self.graph.add_input(root.type))
        self.captured.append(cell)
        return cell


def trace(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], arguments: Sequence[Argument]
) -> Traced:
    """Run ``function`` on tensors without data."""
    graph = Graph(_name_of(function))
    recorder = _Recorder(graph, _state_names(function))
    stand_ins = iter([recorder.wrap(graph.add_input(a.type)) for a in arguments])
    new_args, new_kwargs = rebuilt((tuple(args), dict(kwargs)), stand_ins)
    token = dispatch.set_grad_enabled_flag(False)
    try:
        with dispatch.interpreting(recorder), dims.Facts() as facts:
            results = list(leaves(function(*new_args, **new_kwargs)))
            graph.outputs = [recorder.value(r) for _, r in results if isinstance(r, Tensor)]
    finally:
        dispatch.reset_grad_enabled(token)
    written = [name for (name, _), cell in zip(recorder.parameters, recorder.captured) if cell.version]
    if written:
        raise UnsupportedError(
            "export: the function writes to tensors it does not own, which an ONNX file cannot",
            actual=", ".join(written), hint="export a module in eval mode: model.eval()",
        )  # fmt: skip
    fixed = [str(g) for g in facts.guards if g.relation == "=="]
    if fixed:
        raise ValueRangeError(
            "export: the function works for some sizes of the dynamic axes only", actual=", ".join(fixed),
            hint="give equal axes one name, and leave fixed axes out of dynamic_axes",
        )  # fmt: skip
    outputs = [path for path, r in results if isinstance(r, Tensor)]
    return Traced(graph, recorder.parameters, outputs, [str(g) for g in facts.guards])


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__).strip("<>")


def _state_names(function: Callable[..., Any]) -> dict[int, str]:
    """The names of a module's parameters and buffers, by the identity of the tensor."""
    found: dict[int, str] = {}
    for kind in ("named_parameters", "named_buffers"):
        for name, tensor in getattr(function, kind, dict[str, Tensor]().items)():
            found.setdefault(id(tensor), name)
    return found
