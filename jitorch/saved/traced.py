"""Traced functions in files: the tensor program of a function, with the tensors that it met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jitorch.errors import ArgumentError, CompileError, CompilerBug, ParseError, SavedModelError, VerifyError
from jitorch.frontend.capture import CapturingBuilder
from jitorch.frontend.jitted import Jitted
from jitorch.ir.graph import Graph
from jitorch.ir.literal import Literal
from jitorch.ir.types import TensorType
from jitorch.ir.verify import verify
from jitorch.ops import OPS, dispatch
from jitorch.saved.program_json import take
from jitorch.saved.values import Decoder
from jitorch.tensor import Tensor

_LITERAL = "literal."
_RULES_FAIL = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, NotImplementedError, RecursionError)


def pack_traced(
    jitted: Jitted, name: Callable[[Tensor], str], arrays: dict[str, np.ndarray[Any, Any]]
) -> tuple[dict[str, Any], str]:
    """The description and the graph's text of the latest trace; its literals go to ``arrays``."""
    if not jitted.entries:
        raise CompileError("the function was not called yet, so there is no trace", "not-saveable", hint="call it once")
    staged = jitted.entries[0].traced.staged
    if staged.refused is not None:
        raise CompileError(f"the latest call ran as Python: {staged.refused.why}", "not-saveable",
                           hint="jit.script keeps control flow")  # fmt: skip
    types = [value.type for value, path in zip(jitted.entries[0].traced.graph.inputs, staged.inputs)
             if path.kind == "arg"]  # fmt: skip
    if not all(isinstance(t, TensorType) for t in types):
        raise CompileError("an argument of the trace is no tensor", "not-saveable", hint="jit.script it")
    builder = CapturingBuilder(jitted.entries[0].traced.graph.name)
    arguments = [builder.add_argument(t) for t in types]  # type: ignore[arg-type]
    results: list[Tensor] = []
    with builder.recording():
        structure = _structure(jitted.__jit_wrapped__(*arguments), results)
    if builder.written:
        raise CompileError("the trace writes to tensors that it did not make", "not-saveable", hint="jit.script it")
    graph = builder.finish(results)
    for digest, literal in graph.literals().items():
        arrays[_LITERAL + digest] = literal.array
    names = [name(parameter) for parameter in builder.parameters]
    described = {"arguments": len(arguments), "captured": names, "result": structure, "name": graph.name}
    return described, str(graph)


def _structure(result: Any, found: list[Tensor]) -> Any:
    """The shape of a result as JSON; its tensors go to ``found``."""
    if isinstance(result, Tensor):
        found.append(result)
        return len(found) - 1
    if isinstance(result, list):
        return {"list": [_structure(item, found) for item in result]}
    if isinstance(result, tuple):
        return {"tuple": [_structure(item, found) for item in result]}
    if isinstance(result, dict) and all(isinstance(key, str) for key in result):
        return {"dict": {key: _structure(item, found) for key, item in result.items()}}
    raise CompileError(f"the trace returns a {type(result).__name__}", "not-saveable", hint="return tensors")


class TracedFunction:
    """A traced function that was read from a file; it computes on tensors, and takes gradients."""

    def __init__(self, name: str, graph: Graph, arguments: int, captured: list[Tensor], structure: Any):
        self.__name__ = self.__qualname__ = name
        self.tensor_graph, self.arguments, self.captured, self.structure = graph, arguments, captured, structure

    def __call__(self, *args: Tensor) -> Any:
        if len(args) != self.arguments or not all(isinstance(x, Tensor) for x in args):
            raise ArgumentError(
                f"{self.__name__}: wrong arguments", expected=f"{self.arguments} tensors", actual=len(args)
            )
        values: dict[Any, Any] = dict(zip(self.tensor_graph.inputs, (*args, *self.captured)))
        for value, given in zip(self.tensor_graph.inputs, args):
            _check_type(self.__name__, value.type, given)
        for node in self.tensor_graph.nodes:
            operands = tuple(None if v is None else values[v] for v in node.inputs)
            made = dispatch.current().apply(node.op, operands, node.attrs)
            values.update(zip(node.outputs, made if isinstance(made, tuple) else (made,)))
        return _rebuilt(self.structure, [values[v] for v in self.tensor_graph.outputs])


def _check_type(name: str, expected: Any, given: Tensor) -> None:
    fits = given.dtype is expected.dtype and len(given.shape) == len(expected.shape)
    if not fits or any(isinstance(a, int) and a != b for a, b in zip(expected.shape, given.shape)):
        raise ArgumentError(f"{name}: an argument is not as it was traced", expected=expected, actual=given.type)


def _rebuilt(structure: Any, found: list[Any]) -> Any:
    if isinstance(structure, int):
        return found[structure]
    ((kind, items),) = structure.items()
    if kind == "dict":
        return {key: _rebuilt(item, found) for key, item in items.items()}
    return (list if kind == "list" else tuple)(_rebuilt(item, found) for item in items)


def unpack_traced(described: Any, text: str, decoder: Decoder, arrays: dict[str, Any]) -> TracedFunction:
    """The function; SavedModelError where the file describes none."""
    count, names, structure, name = take(
        described, "the trace", {"arguments": int, "captured": list, "result": type(described.get("result"))
                                 if isinstance(described, dict) else dict, "name": str}
    )  # fmt: skip
    literals = {key.removeprefix(_LITERAL): Literal(a) for key, a in arrays.items() if key.startswith(_LITERAL)}
    try:
        graph = Graph.parse(text, OPS, literals)
        verify(graph)
    except (ParseError, VerifyError, CompilerBug) as error:
        raise SavedModelError(f"the graph is not one of tensors: {error.what}", expected=error.expected,
                              actual=error.actual) from None  # fmt: skip
    except _RULES_FAIL as error:
        # A type rule that meets an attribute of the wrong kind fails as Python does.
        raise SavedModelError("an operation has attributes that it does not take", actual=str(error)[:200]) from None
    captured = [decoder.decode({"tensor": n}) for n in names]
    if count < 0 or count + len(captured) != len(graph.inputs) or graph.writes:
        raise SavedModelError("the graph has other inputs than the trace", expected=count + len(captured),
                              actual=len(graph.inputs))  # fmt: skip
    if not all(isinstance(v.type, TensorType) for v in graph.inputs):
        raise SavedModelError("an input of the graph is no tensor")
    _check_structure(structure, len(graph.outputs), 0)
    return TracedFunction(name, graph, count, captured, structure)


def _check_structure(structure: Any, count: int, depth: int) -> None:
    if type(structure) is int and 0 <= structure < count:
        return
    if depth < 50 and isinstance(structure, dict) and len(structure) == 1:
        ((kind, items),) = structure.items()
        if kind in ("list", "tuple") and isinstance(items, list):
            for item in items:
                _check_structure(item, count, depth + 1)
            return
        if kind == "dict" and isinstance(items, dict):
            for item in items.values():
                _check_structure(item, count, depth + 1)
            return
    raise SavedModelError("the result of the trace is not described", actual=str(structure)[:80])
