"""`jit.load`: a file -> what was saved, without running anything in it."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import jitorch
from jitorch import dtypes, nn
from jitorch.errors import SavedModelError
from jitorch.frontend.script import tables
from jitorch.frontend.script.door import make_function
from jitorch.frontend.script.function import build
from jitorch.frontend.script.modules import INTERNAL
from jitorch.frontend.script.program import Program
from jitorch.nn.module import Module
from jitorch.nn.parameter import Parameter
from jitorch.nn.script_module import Script, attach
from jitorch.nn.traced_module import TracedModule, find_held
from jitorch.saved import container, weights
from jitorch.saved.program_json import SEPARATOR, take, unpack_program
from jitorch.saved.traced import unpack_module, unpack_traced
from jitorch.saved.values import Decoder
from jitorch.tensor import Tensor

_KINDS = {"function": ("program", "entry"), "module": ("program", "modules"), "traced": ("traced",),
          "traced_module": ("traced", "modules")}  # fmt: skip
_MODULE = {
    "class": str, "scripted": bool, "entries": list, "training": bool, "parameters": dict, "buffers": dict,
    "non_persistent": list, "attributes": dict, "modules": dict,
}  # fmt: skip


def load(
    f: str | os.PathLike[str] | BinaryIO, map_location: Any = None, _extra_files: dict[str, Any] | None = None
) -> Any:
    """What `save` wrote to a path or binary file: a `ScriptFunction`, a `ScriptModule`, or a traced function.

    Nothing of the file is run.  Every bound, name and digest is checked; whatever is damaged, of another version, or
    no work of `save` is a `SavedModelError`.  ``map_location``: the device to put tensors on, ``"cpu"``.
    ``_extra_files``: a dict whose values are replaced by the texts that were saved under its keys.
    """
    manifest, sections = container.unpack(container.read_file(f))
    kind = manifest.get("kind")
    keys = _KINDS.get(kind) if isinstance(kind, str) else None
    if keys is None:
        raise SavedModelError("the file holds something unknown", expected=", ".join(_KINDS), actual=str(kind)[:80])
    expected = {"format", "sections", "kind", "tensors", "extra", *keys}
    if set(manifest) != expected or set(sections) != {"graphs", "weights"}:
        raise SavedModelError(
            "the manifest holds something unknown", expected=sorted(expected), actual=sorted(manifest)
        )
    arrays = weights.unpack(sections["weights"])
    tensors = _tensors(manifest["tensors"], arrays, map_location)
    _give_extra(manifest["extra"], _extra_files)
    text = _text(sections["graphs"])
    if kind == "traced":
        return unpack_traced(manifest["traced"], text, Decoder(tensors, {}), arrays)
    if kind == "traced_module":
        return _traced_module(manifest, text, Decoder(tensors, {}), arrays)
    program = unpack_program(manifest["program"], text)
    names = _built(program)
    if kind == "function":
        record = program.functions.get(manifest["entry"]) if isinstance(manifest["entry"], str) else None
        if record is None or record.graph is None:
            raise SavedModelError("the file has no function of this name", actual=str(manifest["entry"])[:80])
        return make_function(program, record, names)
    return _Modules(program, names, Decoder(tensors, names), tensors).root(manifest["modules"])


def _traced_module(manifest: dict[str, Any], text: str, decoder: Decoder, arrays: dict[str, Any]) -> TracedModule:
    described = manifest["traced"]
    made = unpack_module(manifest["modules"], decoder)
    texts = text.split(SEPARATOR)
    if not isinstance(described, dict) or len(described) != len(texts):
        raise SavedModelError("the file has other methods than graphs")
    find = find_held(made)
    for (name, method), graph in zip(described.items(), texts):
        if not tables.is_name(name):
            raise SavedModelError("a method has a name that no module gives", actual=name[:80])
        traced = unpack_traced(method, graph, decoder, arrays)
        traced.held = [find(table[key]) or (table, key) for table, key in traced.held]
        made.attach(name, traced)
    return made


def _built(program: Program) -> dict[str, Any]:
    try:
        return build(program, True)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, AttributeError, NameError) as error:
        raise SavedModelError("the program of the file cannot be built", actual=str(error)[:200]) from None


def _text(section: memoryview) -> str:
    try:
        return bytes(section).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SavedModelError("the graphs are no text", actual=str(error)) from None


def _give_extra(extra: Any, wanted: dict[str, Any] | None) -> None:
    if not isinstance(extra, dict) or not all(isinstance(text, str) for text in extra.values()):
        raise SavedModelError("the extra files are no texts")
    for name in wanted or {}:
        if name in extra:
            wanted[name] = extra[name]  # type: ignore[index]


def _tensors(described: Any, arrays: dict[str, Any], map_location: Any) -> dict[str, Tensor]:
    if not isinstance(described, dict) or set(described) != set(arrays):
        raise SavedModelError("the manifest describes other tensors than there are")
    device = jitorch.device("cpu" if map_location is None else map_location)
    found: dict[str, Tensor] = {}
    for name, array in arrays.items():
        entry = described[name] if isinstance(described[name], dict) else {}
        keys = {"kind": str, "requires_grad": bool} | ({"shape": list} if "shape" in entry else {})
        kind, requires_grad, *shape = take(entry, f"tensor {name}", keys)
        if shape:
            array = _complex(name, array, shape[0])
        dtype = dtypes.from_numpy(array.dtype)
        if kind not in ("parameter", "tensor") or (requires_grad and dtype.category < dtypes.Category.FLOAT):
            raise SavedModelError(f"tensor {name} is of no known kind", actual=kind[:80])
        tensor = jitorch.from_numpy(array).to(device)
        if kind == "parameter":
            tensor = Parameter(tensor, requires_grad)
        elif requires_grad:
            tensor = tensor.requires_grad_()
        found[name] = tensor
    return found


def _complex(name: str, array: Any, shape: list[Any]) -> Any:
    """Complex numbers of 128 bits are stored as pairs of floats."""
    count = 1
    for n in shape:
        if type(n) is not int or n < 0:
            raise SavedModelError(f"tensor {name} has no shape", actual=str(shape)[:80])
        count *= n
    if array.dtype != dtypes.float64.numpy or array.size != 2 * count:
        raise SavedModelError(f"tensor {name} does not hold complex numbers", actual=str(array.dtype))
    return array.reshape(-1).view(dtypes.complex128.numpy).reshape(shape)


class _Modules:
    """Builds the tree of modules."""

    def __init__(self, program: Program, names: dict[str, Any], decoder: Decoder, tensors: dict[str, Tensor]):
        self.program, self.names, self.decoder, self.tensors = program, names, decoder, tensors
        self.described: list[Any] = []
        self.made: dict[int, Module] = {}
        self._open: set[int] = set()

    def root(self, described: Any) -> Module:
        if not isinstance(described, list) or not described:
            raise SavedModelError("the file has no modules")
        self.described = described
        try:
            root = self._module(0)
        except RecursionError:
            raise SavedModelError("the modules are nested too deeply") from None
        if len(self.made) != len(described):
            raise SavedModelError("a module belongs to no other")
        return root

    def _module(self, number: Any) -> Module:
        if type(number) is not int or not 0 <= number < len(self.described) or number in self._open:
            raise SavedModelError("a module is not in the file", actual=str(number)[:80])
        if number in self.made:
            return self.made[number]
        self._open.add(number)
        entry = dict(zip(_MODULE, take(self.described[number], f"module {number}", _MODULE)))
        made = self._allocated(entry)
        made.__dict__.update(self._tables(entry))
        self._open.discard(number)
        self.made[number] = made
        if entry["scripted"]:
            self._attach(made, entry)
        return made

    def _allocated(self, entry: dict[str, Any]) -> Module:
        name = entry["class"]
        if entry["scripted"]:
            record = self.program.classes.get(name)
            if record is None or record.kind != "module":
                raise SavedModelError("a module is of no class of the file", actual=name[:80])
            return object.__new__(self.names[name])
        kind: Any = getattr(nn, name.removeprefix("nn."), None) if name.startswith("nn.") else None
        ours = isinstance(kind, type) and issubclass(kind, Module) and kind.__module__.startswith("jitorch.nn.")
        if not ours or kind is Module or kind.__module__ == "jitorch.nn.script_module":
            raise SavedModelError("a module is of no class of jitorch.nn", actual=name[:80])
        return object.__new__(kind)

    def _tables(self, entry: dict[str, Any]) -> dict[str, Any]:
        parameters = {n: self._tensor(n, t, Parameter) for n, t in entry["parameters"].items()}
        buffers = {n: self._tensor(n, t, Tensor) for n, t in entry["buffers"].items()}
        modules = {self._key(n): None if m is None else self._module(m) for n, m in entry["modules"].items()}
        unsaved = entry["non_persistent"]
        if not all(isinstance(n, str) and n in buffers for n in unsaved):
            raise SavedModelError("a buffer is not there", actual=str(unsaved)[:80])
        attributes = {n: self.decoder.decode(v) for n, v in entry["attributes"].items()}
        for name in attributes:
            # What the library keeps under a leading underscore is plain data, too.
            if not tables.is_name(name) or name in INTERNAL or name == "_script":
                raise SavedModelError("an attribute has a name that no module gives", actual=name[:80])
        return attributes | {
            "training": entry["training"], "_parameters": parameters, "_buffers": buffers, "_modules": modules,
            "_non_persistent_buffers_set": set(unsaved), "_forward_pre_hooks": {}, "_forward_hooks": {},
        }  # fmt: skip

    def _key(self, name: str) -> str:
        if not name or "." in name or name.startswith("__"):
            raise SavedModelError("a member has a name that no module gives", actual=name[:80])
        return name

    def _tensor(self, name: str, tensor: Any, kind: type) -> Any:
        self._key(name)
        if tensor is None:
            return None
        found = self.decoder.decode({"tensor": tensor})
        if not isinstance(found, kind):
            raise SavedModelError(f"{name} is no {kind.__name__}")
        return found

    def _attach(self, made: Module, entry: dict[str, Any]) -> None:
        record = self.program.classes[entry["class"]]
        for name in entry["entries"]:
            function = record.methods.get(name) if isinstance(name, str) else None
            if function is None or function.graph is None or name in record.properties:
                raise SavedModelError("a module has no method of this name", actual=str(name)[:80])
        for name in record.constants:
            made.__dict__.setdefault(name, record.constants[name])
        attach(made, Script(self.program, self.names, record, tuple(entry["entries"])))
