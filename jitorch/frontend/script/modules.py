"""Modules as scripts see them: what a module holds gives the fields of a class of its own."""

from __future__ import annotations

import inspect
import sys
import types
from typing import TYPE_CHECKING, Any

from jitorch.errors import CompileError
from jitorch.frontend.script import marks, relations
from jitorch.frontend.script.annotations import NotAType, type_of_annotation
from jitorch.frontend.script.classes import get_hints
from jitorch.frontend.script.function import GENERATED, Scripted
from jitorch.frontend.script.program import Class, Function, Parameter
from jitorch.ir.types import ANY, BOOL, NONE, STR, TENSOR, DictType, ListType, OptionalType, TupleType, Type

if TYPE_CHECKING:
    from jitorch.frontend.script.compiler import Compiler

CONTAINERS = {"Sequential": "sequential", "ModuleList": "list", "ModuleDict": "dict"}
_PARAMETERS = {"ParameterList": ListType(TENSOR), "ParameterDict": DictType(STR, TENSOR)}
INTERNAL = frozenset(
    "training _parameters _buffers _modules _non_persistent_buffers_set _forward_pre_hooks _forward_hooks".split()
)
_RECURRENT = {
    "LSTM": TupleType((TENSOR, TupleType((TENSOR, TENSOR)))), "GRU": TupleType((TENSOR, TENSOR)),
    "RNN": TupleType((TENSOR, TENSOR)), "LSTMCell": TupleType((TENSOR, TENSOR)),
    "MultiheadAttention": TupleType((TENSOR, OptionalType(TENSOR))),
}  # fmt: skip


def is_module(value: Any) -> bool:
    """Whether ``value`` is an ``nn.Module``; that class stands above this module."""
    return any(base.__module__ == "jitorch.nn.module" and base.__name__ == "Module" for base in type(value).__mro__)


def written(module: Any) -> Any:
    """The module whose class a user wrote: that from which a scripted one was made, else the module itself."""
    script = module.__dict__.get("_script")
    if script is None or type(module).__module__ != GENERATED:
        return module
    if script.record.source is None:
        raise CompileError(f"a {type(module).__name__} that was read from a file cannot be scripted again", "no-source",
                           hint="call it from Python, or script it with the rest and save that")  # fmt: skip
    return script.record.source


def _is_container(kind: type) -> bool:
    return kind.__module__ == "jitorch.nn.containers" and kind.__name__ in CONTAINERS


class Modules:
    """The classes of modules; modules of one Python class that hold the same kinds of things share one."""

    def __init__(self, compiler: Compiler):
        self.compiler, self.program = compiler, compiler.program
        self._known: dict[Any, Class] = {}
        self._of: dict[int, Class] = {}

    def of(self, module: Any) -> Class:
        """The class of a module, with its fields."""
        if id(module) in self._of:
            return self._of[id(module)]
        kind = type(module)
        if _is_container(kind):
            record = self._shared(module, CONTAINERS[kind.__name__], self._children(module), {}, {})
            record.holds, record.children = record.kind, tuple(record.fields)
            if record.holds == "sequential" and "forward" not in record.methods:
                record.methods["forward"] = self._sequential(record)
        elif kind.__module__.startswith("jitorch.nn."):
            record = self._library(module)
        else:
            record = self._user(module)
        self._of[id(module)] = record
        return record

    def _children(self, module: Any) -> dict[str, Type]:
        return {name: NONE if m is None else self._child(m) for name, m in module._modules.items()}

    def _child(self, module: Any) -> Type:
        plain = _PARAMETERS.get(type(module).__name__) if type(module).__module__ == "jitorch.nn.containers" else None
        return self.of(module).type if plain is None else plain

    def _shared(
        self, module: Any, kind: str, fields: dict[str, Type], constants: dict[str, Any], functions: dict[str, Any]
    ) -> Class:
        held = tuple((n, id(f)) for n, f in functions.items())
        key = (type(module), kind, tuple(fields.items()), tuple((n, repr(v)) for n, v in constants.items()), held)
        if key not in self._known:
            record = Class(self.program.free_name(type(module).__name__), kind, fields, source=written(module))
            record.constants, record.functions = constants, functions
            self.program.classes[record.name] = record
            self._known[key] = record
        return self._known[key]

    def _sequential(self, record: Class) -> Function:
        """What a Sequential computes: the first module's parameter, the last one's result."""
        first: Type = TENSOR
        result: Type = TENSOR
        for i, child in enumerate(record.fields[name] for name in record.children):
            found = self.program.classes.get(child.name) if isinstance(child, relations.RecordType) else None
            function = None if found is None else self.compiler.classes.method(found, "forward")
            if function is None:
                raise CompileError("a Sequential holds a module without forward", "unsupported")
            if i == 0 and len(function.parameters) > 1:
                first = function.parameters[1].type
            result = function.result
        self_parameter = Parameter("self", record.type)
        return Function(f"{record.name}.forward", (self_parameter, Parameter("input", first)), result)

    def _library(self, module: Any) -> Class:
        record = self._shared(module, "library", {"training": BOOL, **self._plain_fields(module)}, {}, {})
        if "forward" in record.methods:
            return record
        forward = type(module).forward
        hints = get_hints(forward)
        name = type(module).__name__
        result = _RECURRENT.get(name) or self._result(hints.get("return"))
        parameters = [Parameter("self", record.type)]
        for parameter in list(inspect.signature(forward).parameters.values())[1:]:
            kind = TENSOR if parameter.annotation == "Tensor" else ANY
            has = parameter.default is not parameter.empty
            parameters.append(Parameter(parameter.name, kind, has, None))
        record.methods["forward"] = Function(f"{record.name}.forward", tuple(parameters), result)
        return record

    def _result(self, annotation: Any) -> Type:
        if annotation is None:
            return TENSOR
        try:
            found = type_of_annotation(annotation, lambda kind: None)
        except NotAType:
            return TENSOR
        return TENSOR if found == ANY else found

    def _plain_fields(self, module: Any) -> dict[str, Type]:
        """Parameters, buffers, submodules and plain attributes of a module of this library."""
        fields: dict[str, Type] = {}
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            fields[name] = NONE if tensor is None else TENSOR
        for name, value in module.__dict__.items():
            found = None if name in INTERNAL or name.startswith("_") else relations.type_of(value)
            if found is not None:
                fields[name] = found
        return fields

    def _user(self, module: Any) -> Class:
        kind = type(written(module))
        hints, finals = self._hints(kind)
        finals |= set(getattr(kind, "__constants__", ()))
        fields: dict[str, Type] = {"training": BOOL}
        constants: dict[str, Any] = {}
        functions: dict[str, Any] = {}
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            fields[name] = hints.get(name, NONE if tensor is None else TENSOR)
        fields.update({n: hints.get(n, t) if t == NONE else t for n, t in self._children(module).items()})
        for name, value in list(module.__dict__.items()):
            # The methods of what is a script already are compiled anew, into this program.
            if name in INTERNAL or isinstance(value, Scripted):
                continue
            if isinstance(value, marks.Attribute):
                fields[name] = type_of_annotation(value.type, self.compiler.type_of_class)
                continue
            found = hints.get(name) or self._attribute_type(value)
            if found is not None:
                fields[name] = found
                if name in finals or found == NONE:
                    constants[name] = value
            elif callable(value):
                functions[name] = value
        record = self._shared(module, "module", fields, constants, functions)
        record.children = tuple(module._modules)
        record.bases = tuple(base.__name__ for base in kind.__mro__ if _is_container(base))
        record.holds = CONTAINERS[record.bases[0]] if record.bases else None
        if record.holds == "sequential" and kind.forward.__module__.startswith("jitorch."):
            record.methods["forward"] = self._sequential(record)
        record.properties = frozenset(
            n for base in kind.__mro__ if not base.__module__.startswith("jitorch") for n, v in base.__dict__.items()
            if isinstance(v, property)
        )  # fmt: skip
        return record

    def _attribute_type(self, value: Any) -> Type | None:
        found = relations.type_of(value)
        if found is not None or callable(value):
            return found
        record = self.compiler.classes.of(type(value))
        return None if record is None else record.type

    def _hints(self, kind: type) -> tuple[dict[str, Type], set[str]]:
        """The types that class bodies declare, and the names that are Final."""
        hints: dict[str, Type] = {}
        finals: set[str] = set()
        for base in reversed(kind.__mro__):
            if base.__module__.startswith("jitorch.") or base is object:
                continue
            namespace = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
            for name, annotation in inspect.get_annotations(base).items():
                value = self._evaluated(annotation, namespace, kind)
                origin = getattr(value, "__origin__", value)
                if origin in marks.FINALS:
                    finals.add(name)
                    if value is origin:
                        continue
                    value = value.__args__[0]
                if isinstance(value, type) and any(b.__module__ == "jitorch.nn.module" for b in value.__mro__):
                    continue
                try:
                    hints[name] = type_of_annotation(value, self.compiler.type_of_class)
                except NotAType as error:
                    raise CompileError(f"{kind.__name__}.{name}: {error}", "annotation", hint=error.hint) from None
        return hints, finals

    def _evaluated(self, annotation: Any, namespace: dict[str, Any], kind: type) -> Any:
        if not isinstance(annotation, str):
            return annotation
        try:
            return eval(annotation, dict(namespace))
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            raise CompileError(f"{kind.__name__}: an annotation cannot be read: {error}", "annotation") from None


def entry_points(module: Any) -> list[str]:
    """The methods of a module that are compiled: ``forward``, and those with a mark."""
    kind = type(written(module))
    found = []
    for name in dir(kind):
        member = inspect.getattr_static(kind, name)
        member = member.__func__ if isinstance(member, staticmethod) else member
        if not isinstance(member, types.FunctionType) or member.__module__.startswith("jitorch.nn."):
            continue
        mark = marks.mark_of(member)
        if (name == "forward" and mark not in ("ignore", "unused")) or mark in ("export", "script_method"):
            found.append(name)
    return found
