"""Traced functions in files: the tensor program of a function, with the tensors that it met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jitorch import dims
from jitorch.dims import Guard, Symbol
from jitorch.errors import CompileError, CompilerBug, ParseError, SavedModelError, StagingError, VerifyError
from jitorch.frontend.eager.defaults import default_generator
from jitorch.frontend.jitted import Jitted
from jitorch.frontend.trace.capture import Slot, capture, leaves, without_gradients
from jitorch.frontend.tracing import GraphCall, TracedFunction, parameter_names
from jitorch.ir.graph import Graph
from jitorch.ir.literal import Literal
from jitorch.ir.types import TensorType
from jitorch.ir.verify import verify
from jitorch.nn.module import Module
from jitorch.nn.parameter import Parameter
from jitorch.nn.traced_module import TracedModule
from jitorch.ops import OPS
from jitorch.saved.program_json import take
from jitorch.saved.values import Decoder, Encoder, NotSaveable
from jitorch.tensor import Tensor

_LITERAL = "literal."
_RULES_FAIL = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, NotImplementedError, RecursionError)
_OLD = {"arguments": int, "captured": list, "result": None, "name": str}
"""What the first files of format 1 hold: the number of arguments, all of them tensors."""
_NEW = {
    "arguments": dict, "keywords": dict, "names": list, "captured": list, "result": None, "facts": list, "name": str,
}  # fmt: skip


def pack_traced(
    traced: TracedFunction, name: Callable[[Tensor], str], arrays: dict[str, np.ndarray[Any, Any]]
) -> tuple[dict[str, Any], str]:
    """The description and the graph's text of a traced function; its literals go to ``arrays``."""
    graph = traced.graph.copy()
    facts = [str(fact) for fact in graph.facts]
    graph.facts = ()  # the description of format 1 has them, the text does not
    for digest, literal in graph.literals().items():
        arrays[_LITERAL + digest] = literal.array
    held = [table[key] for table, key in traced.held]
    # Random numbers are drawn from the generator of the process that loads the file.
    names = [None if x is default_generator.state else name(x) for x in held]
    described = {
        "arguments": _structure(traced.arguments), "keywords": _structure(traced.keywords),
        "names": traced.parameter_names, "captured": names, "result": _structure(traced.program.result),
        "facts": facts, "name": graph.name,
    }  # fmt: skip
    return described, str(graph)


def traced_of(jitted: Jitted) -> TracedFunction:
    """The program of the latest signature of a compiled function, for any arguments of its types."""
    if not jitted.entries:
        raise CompileError("the function was not called yet, so there is no trace", "not-saveable", hint="call it once")
    if isinstance(jitted.__jit_wrapped__, GraphCall):
        call = jitted.__jit_wrapped__
        return TracedFunction(call, tuple(map(Slot, range(call.count))), {}, [])
    entry = jitted.entries[0]
    staged = entry.traced.staged
    if staged.refused is not None:
        raise CompileError(f"the latest call ran as Python: {staged.refused.why}", "not-saveable",
                           hint="jit.script keeps control flow")  # fmt: skip
    found = {p.key: v.type for v, p in zip(entry.traced.graph.inputs, staged.inputs) if p.kind == "arg"}
    if sorted(found) != list(range(len(found))) or not all(isinstance(t, TensorType) for t in found.values()):
        raise CompileError("an argument of the trace is no tensor", "not-saveable", hint="jit.trace it")
    types: list[Any] = [found[i] for i in range(len(found))]
    examples = tuple(Tensor._traced(t) for t in types)
    name = entry.traced.graph.name
    try:
        captured = without_gradients(lambda: capture(jitted.__jit_wrapped__, examples, {}, types, name))
    except StagingError as error:
        raise CompileError(error.what, "not-saveable", hint=error.hint, where=error.where) from None
    names = parameter_names(jitted.__jit_wrapped__)
    call = GraphCall(name, captured.graph, len(types), captured.result, names[: len(types)])
    traced = TracedFunction(call, tuple(map(Slot, range(len(types)))), {}, [({"": x}, "") for x in captured.tensors])
    traced.parameter_names = names
    return traced


def _structure(tree: Any) -> Any:
    """Arguments or a result as JSON: the number of a tensor, or what it is built of."""
    if isinstance(tree, Slot):
        return tree.number
    if isinstance(tree, list):
        return {"list": [_structure(item) for item in tree]}
    if type(tree) is tuple:
        return {"tuple": [_structure(item) for item in tree]}
    if isinstance(tree, dict) and all(isinstance(key, str) for key in tree):
        return {"dict": {key: _structure(item) for key, item in tree.items()}}
    try:
        return {"value": Encoder(_no_tensor, lambda value: None).encode(tree)}
    except NotSaveable as error:
        raise CompileError(f"the trace holds {error}", "not-saveable", hint="use tensors and plain values") from None


def _no_tensor(tensor: Tensor) -> str:
    raise NotSaveable("a tensor that is no argument")


def unpack_traced(described: Any, text: str, decoder: Decoder, arrays: dict[str, Any]) -> TracedFunction:
    """The function; SavedModelError where the file describes none."""
    is_old = isinstance(described, dict) and type(described.get("arguments")) is int
    kind = type(described.get("result")) if isinstance(described, dict) else dict
    fields = dict(_OLD if is_old else _NEW) | {"result": kind}
    found = dict(zip(fields, take(described, "the trace", fields)))
    if is_old:
        number = found["arguments"]
        found |= {
            "arguments": {"tuple": list(range(max(number, 0)))},
            "keywords": {"dict": {}},
            "names": [],
            "facts": [],
        }
    literals = {key.removeprefix(_LITERAL): Literal(a) for key, a in arrays.items() if key.startswith(_LITERAL)}
    try:
        graph = Graph.parse(text, OPS, literals)
        graph.facts = _facts(found["facts"], graph)
        verify(graph)
    except (ParseError, VerifyError, CompilerBug) as error:
        raise SavedModelError(f"the graph is not one of tensors: {error.what}", expected=error.expected,
                              actual=error.actual) from None  # fmt: skip
    except _RULES_FAIL as error:
        # A type rule that meets an attribute of the wrong kind fails as Python does.
        raise SavedModelError("an operation has attributes that it does not take", actual=str(error)[:200]) from None
    captured = [default_generator.state if n is None else decoder.decode({"tensor": n}) for n in found["captured"]]
    arguments, keywords = (_read(found[key], decoder, 0) for key in ("arguments", "keywords"))
    result = _read(found["result"], decoder, 0)
    numbers = [x.number for x in leaves((arguments, keywords)) if isinstance(x, Slot)]
    if (
        not isinstance(arguments, tuple)
        or not isinstance(keywords, dict)
        or numbers != list(range(len(numbers)))
        or len(numbers) + len(captured) != len(graph.inputs)
    ):
        raise SavedModelError("the graph has other inputs than the trace", expected=len(numbers) + len(captured),
                              actual=len(graph.inputs))  # fmt: skip
    if not all(isinstance(v.type, TensorType) for v in graph.inputs):
        raise SavedModelError("an input of the graph is no tensor")
    if not all(v.type == x.type for v, x in zip(graph.inputs[len(numbers) :], captured)):
        raise SavedModelError("a tensor is not of the type that the graph takes")
    returned = len(graph.outputs) - len(graph.writes)
    if any(isinstance(x, Slot) and x.number >= returned for x in leaves(result)):
        raise SavedModelError("the result of the trace is not described", actual=str(found["result"])[:80])
    if not all(isinstance(n, str) for n in found["names"]):
        raise SavedModelError("the parameters have no names")
    names = found["names"] if len(found["names"]) >= len(numbers) else []
    call = GraphCall(found["name"], graph, len(numbers), result, names)
    traced = TracedFunction(call, arguments, keywords, [({"": x}, "") for x in captured])
    traced.parameter_names = found["names"]
    return traced


def _facts(texts: list[Any], graph: Graph) -> tuple[Guard, ...]:
    known: dict[str, Symbol] = {s.name: s for s in graph.symbols}
    return tuple(dims.parse_guard(text, known) for text in texts)


def _read(described: Any, decoder: Decoder, depth: int) -> Any:
    """Arguments or a result of JSON."""
    if type(described) is int and described >= 0:
        return Slot(described)
    if depth < 50 and isinstance(described, dict) and len(described) == 1:
        ((kind, items),) = described.items()
        if kind == "value" and not isinstance(value := decoder.decode(items), Tensor):
            return value
        if kind in ("list", "tuple") and isinstance(items, list):
            return (list if kind == "list" else tuple)(_read(item, decoder, depth + 1) for item in items)
        if kind == "dict" and isinstance(items, dict):
            return {key: _read(item, decoder, depth + 1) for key, item in items.items()}
    raise SavedModelError("the result of the trace is not described", actual=str(described)[:80])


# -- modules ---------------------------------------------------------------------------------------------------
_MODULE = {
    "name": str, "training": bool, "parameters": dict, "buffers": dict, "non_persistent": list, "modules": dict,
}  # fmt: skip


def pack_module(module: Module, name: Callable[..., str], path: str = "") -> dict[str, Any]:
    """The tree of a traced module: the names of its parameters and buffers in the file."""
    tables = {table: module.__dict__[f"_{table}"] for table in ("parameters", "buffers")}
    return {
        "name": module.__dict__["original_name"], "training": module.training,
        **{t: {n: None if x is None else name(x, f"{path}{n}") for n, x in held.items()} for t, held in tables.items()},
        "non_persistent": sorted(module.__dict__["_non_persistent_buffers_set"]),
        "modules": {n: None if m is None else pack_module(m, name, f"{path}{n}.") for n, m in module._modules.items()},
    }  # fmt: skip


def unpack_module(described: Any, decoder: Decoder, depth: int = 0) -> TracedModule:
    """The tree, without its methods; SavedModelError where the file describes none."""
    if depth > 50:
        raise SavedModelError("the modules are nested too deeply")
    entry = dict(zip(_MODULE, take(described, "a module", _MODULE)))
    made = TracedModule(entry["name"])
    for table, kind in (("parameters", Parameter), ("buffers", Tensor)):
        for n, text in entry[table].items():
            tensor = None if text is None else decoder.decode({"tensor": text})
            if "." in n or not isinstance(tensor, (kind, type(None))):
                raise SavedModelError(f"{n[:80]} is no {kind.__name__}")
            made.__dict__[f"_{table}"][n] = tensor
    if not all(isinstance(n, str) and n in entry["buffers"] for n in entry["non_persistent"]):
        raise SavedModelError("a buffer is not there", actual=str(entry["non_persistent"])[:80])
    made.__dict__["_non_persistent_buffers_set"] = set(entry["non_persistent"])
    for n, child in entry["modules"].items():
        if not n or "." in n:
            raise SavedModelError("a member has a name that no module gives", actual=n[:80])
        made.__dict__["_modules"][n] = None if child is None else unpack_module(child, decoder, depth + 1)
    made.__dict__["training"] = entry["training"]
    return made
