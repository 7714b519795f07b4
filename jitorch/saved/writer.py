"""`jit.save`: a scripted function, module or traced function -> one file."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import numpy as np

from jitorch.errors import CompileError
from jitorch.frontend.jitted import Jitted
from jitorch.frontend.script.function import ScriptFunction
from jitorch.frontend.script.modules import INTERNAL
from jitorch.frontend.script.program import Program
from jitorch.frontend.script.verify import is_field
from jitorch.frontend.tracing import TracedFunction
from jitorch.nn.module import Module
from jitorch.nn.parameter import Parameter
from jitorch.nn.script_module import Script, ScriptModule
from jitorch.nn.traced_module import TracedModule
from jitorch.saved import container, weights
from jitorch.saved.names import with_free_names
from jitorch.saved.program_json import joined, pack_program
from jitorch.saved.traced import pack_module, pack_traced, traced_of
from jitorch.saved.values import Encoder, NotSaveable
from jitorch.tensor import Tensor


def save(m: Any, f: str | os.PathLike[str] | BinaryIO, _extra_files: dict[str, Any] | None = None) -> None:
    """Write a scripted function or module, or a traced function, to a path or a binary file.

    The file holds the program as text and the tensors; it runs where the Python source is not.  What cannot be saved
    (a method marked ``ignore``, an attribute that is no plain value) is a `CompileError`.  A path is written at once or
    not at all.  ``_extra_files``: texts by name, which `load` gives back.
    """
    extra = {name: str(text) for name, text in (_extra_files or {}).items()}
    if isinstance(m, ScriptFunction):
        data = _function(m, extra)
    elif isinstance(m, ScriptModule) and "_script" in m.__dict__:
        data = _module(m, extra)
    elif isinstance(m, TracedModule) and m.__dict__["_traced"]:
        data = _traced_module(m, extra)
    elif isinstance(m, (Jitted, TracedFunction)):
        data = _traced(m if isinstance(m, TracedFunction) else traced_of(m), extra)
    else:
        raise CompileError(
            f"a {type(m).__name__} cannot be saved", "not-saveable", hint="jit.script or jit.trace it first"
        )
    container.write_file(f, data)


class Tensors:
    """The tensors of a file by name, each object once."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.described: dict[str, dict[str, Any]] = {}
        self._names: dict[int, str] = {}
        self._kept: list[Tensor] = []

    def name(self, tensor: Tensor, wanted: str = "") -> str:
        """The name of a tensor in the file; a new one is called as ``wanted``."""
        if id(tensor) in self._names:
            return self._names[id(tensor)]
        name = wanted or f"constant.{len(self.arrays)}"
        while name in self.arrays:
            name += "_"
        array = tensor.detach().numpy()
        stored = array if weights.storable(tensor.dtype) else np.ascontiguousarray(array).view(np.float64)
        self.arrays[name] = stored.copy()
        self.described[name] = {
            "kind": "parameter" if isinstance(tensor, Parameter) else "tensor",
            "requires_grad": bool(tensor.requires_grad),
        }
        if not weights.storable(tensor.dtype):
            self.described[name]["shape"] = list(tensor.shape)
        self._names[id(tensor)] = name
        # Its identity must stay its own.
        self._kept.append(tensor)
        return name

    def describe_literals(self) -> None:
        """The constants of graphs, which are no tensors of anyone's."""
        for literal in self.arrays:
            self.described.setdefault(literal, {"kind": "tensor", "requires_grad": False})


def _check(program: Program) -> None:
    """Refuse programs that need Python."""
    found = [*program.objects]
    for record in program.classes.values():
        found += [f.name for f in record.methods.values() if f.python and f.graph is None]
        members = [*record.fields, *record.methods]
        odd = [n for n in members if record.kind in ("module", "class", "dataclass") and not is_field(n, record)
               and not (n.startswith("__") and n.endswith("__"))]  # fmt: skip
        if odd:
            raise CompileError(f"{record.name}: no file may hold a member called {odd[0]}", "not-saveable",
                               hint="rename it: tensors or modules have an internal one of this name")  # fmt: skip
    if found:
        raise CompileError(f"{found[0]} is left to Python, so that the script cannot be saved", "not-saveable",
                           hint="mark it with jit.unused, or make it a script")  # fmt: skip


def _encoder(program: Program, tensors: Tensors) -> Encoder:
    classes = {id(record.source): name for name, record in program.classes.items() if isinstance(record.source, type)}
    return Encoder(tensors.name, lambda value: classes.get(id(type(value))) or _loaded_name(program, value))


def _loaded_name(program: Program, value: Any) -> str | None:
    """The class of a value of a program that was read from a file itself."""
    name = type(value).__name__
    record = program.classes.get(name)
    return name if record is not None and record.source is None and type(value).__module__ == "__script__" else None


def _finish(manifest: dict[str, Any], graphs: list[str], tensors: Tensors, extra: dict[str, str]) -> bytes:
    sections = {"graphs": joined(graphs).encode(), "weights": weights.pack(tensors.arrays)}
    return container.pack({**manifest, "tensors": tensors.described, "extra": extra}, sections)


def _function(scripted: ScriptFunction, extra: dict[str, str]) -> bytes:
    program = with_free_names(scripted._program, ())
    _check(program)
    tensors = Tensors()
    described, graphs = pack_program(program, _encoder(program, tensors))
    return _finish({"kind": "function", "program": described, "entry": scripted.name}, graphs, tensors, extra)


def _traced(traced: TracedFunction, extra: dict[str, str]) -> bytes:
    tensors = Tensors()
    described, text = pack_traced(traced, tensors.name, tensors.arrays)
    tensors.describe_literals()
    return _finish({"kind": "traced", "traced": described}, [text], tensors, extra)


def _traced_module(module: TracedModule, extra: dict[str, str]) -> bytes:
    tensors = Tensors()
    tree = pack_module(module, tensors.name)
    methods, texts = {}, []
    for name, traced in module.__dict__["_traced"].items():
        methods[name], text = pack_traced(traced, tensors.name, tensors.arrays)
        texts.append(text)
    tensors.describe_literals()
    return _finish({"kind": "traced_module", "traced": methods, "modules": tree}, texts, tensors, extra)


def _module(module: ScriptModule, extra: dict[str, str]) -> bytes:
    state = module.__dict__["_script"]
    held = [part.__dict__["_script"] for part in module.modules() if isinstance(part.__dict__.get("_script"), Script)]
    program = with_free_names(state.program, {name for script in held for name in script.entries})
    _check(program)
    tensors = Tensors()
    encoder = _encoder(program, tensors)
    described, graphs = pack_program(program, encoder)
    tree = _Tree(tensors, encoder)
    tree.number(module, "")
    return _finish({"kind": "module", "program": described, "modules": tree.described}, graphs, tensors, extra)


class _Tree:
    """The modules of a file, each once, by number; the first is the root."""

    def __init__(self, tensors: Tensors, encoder: Encoder):
        self.tensors, self.encoder = tensors, encoder
        self.described: list[dict[str, Any]] = []
        self._numbers: dict[int, int] = {}

    def number(self, module: Module, path: str) -> int:
        if id(module) in self._numbers:
            return self._numbers[id(module)]
        number = self._numbers[id(module)] = len(self.described)
        entry: dict[str, Any] = {}
        self.described.append(entry)
        state = module.__dict__.get("_script")
        entry["class"] = state.record.name if isinstance(state, Script) else f"nn.{type(module).__name__}"
        entry["scripted"] = isinstance(state, Script)
        entry["entries"] = list(state.entries) if isinstance(state, Script) else []
        entry["training"] = module.training
        for table in ("parameters", "buffers"):
            held = module.__dict__[f"_{table}"]
            entry[table] = {n: None if t is None else self.tensors.name(t, f"{path}{n}") for n, t in held.items()}
        entry["non_persistent"] = sorted(module.__dict__["_non_persistent_buffers_set"])
        entry["attributes"] = self._attributes(module, entry["entries"])
        entry["modules"] = {
            n: None if m is None else self.number(m, f"{path}{n}.") for n, m in module._modules.items()
        }  # fmt: skip
        return number

    def _attributes(self, module: Module, entries: list[str]) -> dict[str, Any]:
        state = module.__dict__.get("_script")
        functions = state.record.functions if isinstance(state, Script) else {}
        found = {}
        for name, value in module.__dict__.items():
            if name in INTERNAL or name == "_script" or name in entries or name in functions:
                continue
            try:
                found[name] = self.encoder.encode(value)
            except NotSaveable as error:
                if isinstance(state, Script) and name not in state.record.fields:
                    continue  # no script can have read it
                raise CompileError(f"the attribute {name} of {type(module).__name__} holds {error}", "not-saveable",
                                   hint="make it a plain value, a tensor or a module") from None  # fmt: skip
        return found
