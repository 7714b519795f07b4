"""The user's classes as scripts see them: enums, named tuples, dataclasses, interfaces, classes with methods."""

from __future__ import annotations

import builtins
import dataclasses
import enum
import inspect
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

from jitorch.errors import CompileError
from jitorch.frontend.script import marks, relations, tables
from jitorch.frontend.script.annotations import NotAType, type_of_annotation
from jitorch.frontend.script.program import Class, Function, Member, Parameter
from jitorch.ir.types import NONE, TENSOR, Type
from jitorch.tensor import Tensor

if TYPE_CHECKING:
    from jitorch.frontend.script.compiler import Compiler

_STANDARD = frozenset(sys.stdlib_module_names) - {"__main__"}


class Classes:
    """The classes of a program, made when they are first asked for."""

    def __init__(self, compiler: Compiler):
        self.compiler, self.program = compiler, compiler.program
        self._known: dict[type, Class] = {}
        self._exceptions: dict[type, Class] = {}

    def of(self, kind: type) -> Class | None:
        """The class of a script that stands for ``kind``; None for what scripts cannot hold."""
        if kind in self._known:
            return self._known[kind]
        if kind.__module__.split(".")[0] in (*_STANDARD, "jitorch") or issubclass(kind, (BaseException, Tensor)):
            return None
        if kind not in marks.interfaces and any(base.__module__ == "jitorch.nn.module" for base in kind.__mro__):
            return None
        return self._made(kind)

    def _named(self, kind: type, what: str) -> Class:
        record = Class(self.program.free_name(kind.__name__), what, source=kind)
        self._known[kind] = self.program.classes[record.name] = record
        return record

    def _made(self, kind: type) -> Class:
        if issubclass(kind, enum.Enum):
            return self._enum(kind)
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return self._namedtuple(kind)
        if kind in marks.interfaces:
            return self._interface(kind)
        record = self._named(kind, "dataclass" if dataclasses.is_dataclass(kind) else "class")
        record.bases = tuple(found.name for base in kind.__bases__ if base is not object
                             and (found := self.of(base)) is not None)  # fmt: skip
        if record.kind == "dataclass":
            self._dataclass(kind, record)
            return record
        for base in record.bases:
            record.fields.update(self.program.classes[base].fields)
        record.fields.update(self.hints(kind))
        record.properties = frozenset(n for n, v in kind.__dict__.items() if isinstance(v, property))
        # The constructor says which fields there are.
        self.method(record, "__init__")
        return record

    def hints(self, kind: type) -> dict[str, Type]:
        """The annotated fields of a class and its bases."""
        found: dict[str, Type] = {}
        for base in reversed(kind.__mro__):
            namespace = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
            for name, annotation in inspect.get_annotations(base).items():
                found[name] = self.annotation(annotation, namespace, kind)
        return found

    def annotation(self, annotation: Any, namespace: dict[str, Any], kind: type) -> Type:
        """The type of an annotation in a class body."""
        try:
            text = getattr(annotation, "__forward_arg__", annotation)
            value = eval(text, dict(namespace)) if isinstance(text, str) else annotation
            return type_of_annotation(value, self._type)
        except NotAType as error:
            raise CompileError(f"{kind.__name__}: {error}", "annotation", hint=error.hint) from None
        except (NameError, AttributeError, TypeError) as error:
            raise CompileError(f"{kind.__name__}: an annotation cannot be read: {error}", "annotation") from None

    def _type(self, kind: type) -> Type | None:
        record = self.of(kind)
        return None if record is None else record.type

    # -- kinds

    def _enum(self, kind: type[enum.Enum]) -> Class:
        record = self._named(kind, "enum")
        record.constants = {member.name: member.value for member in kind}
        found: Type = relations.UNKNOWN
        for member in kind:
            value = relations.type_of(member.value)
            joined = None if value is None else relations.join(found, value)
            if joined is None:
                what = f"the members of {kind.__name__} have values of different types"
                raise CompileError(what, "type-mismatch", hint="use numbers only, or strings only")
            found = joined
        record.fields = {"value": found}
        return record

    def _namedtuple(self, kind: Any) -> Class:
        record = self._named(kind, "namedtuple")
        hints = self.hints(kind)
        record.fields = {name: hints.get(name, TENSOR) for name in kind._fields}
        record.constants = dict(kind._field_defaults)
        self._constructor(record, {n: (t, n in kind._field_defaults) for n, t in record.fields.items()})
        return record

    def _constructor(self, record: Class, fields: dict[str, tuple[Type, bool]]) -> None:
        parameters = [Parameter("self", record.type)]
        defaults = record.constants | record.defaults
        parameters += [Parameter(n, t, has, defaults.get(n)) for n, (t, has) in fields.items()]
        record.methods["__init__"] = Function(f"{record.name}.__init__", tuple(parameters), NONE)

    def _dataclass(self, kind: type, record: Class) -> None:
        hints = self.hints(kind)
        fields: dict[str, tuple[Type, bool]] = {}
        missing = dataclasses.MISSING
        for item in dataclasses.fields(kind):
            record.fields[item.name] = hints[item.name]
            has = item.default is not missing or item.default_factory is not missing
            if isinstance(item.default, enum.Enum):
                owner = self.of(type(item.default))
                record.defaults[item.name] = Member(kind.__name__ if owner is None else owner.name, item.default.name)
            elif item.default is not missing:
                record.defaults[item.name] = item.default
            elif item.default_factory is not missing:
                made = item.default_factory()
                if made not in ([], {}):
                    what = f"{kind.__name__}.{item.name}: the default is made by a function"
                    raise CompileError(what, "unsupported", hint="scripts know default_factory=list and dict")
                record.defaults[item.name] = made
            if item.init:
                fields[item.name] = (hints[item.name], has)
        self._constructor(record, fields)
        if "__post_init__" in kind.__dict__:
            self.method(record, "__post_init__")
        record.properties = frozenset(n for n, v in kind.__dict__.items() if isinstance(v, property))

    def _interface(self, kind: type) -> Class:
        record = self._named(kind, "interface")
        for name, function in kind.__dict__.items():
            if isinstance(function, types.FunctionType) and not name.startswith("__"):
                made = self.compiler.signature_only(function, f"{record.name}.{name}", record.type)
                made.returns = made.result
                record.methods[name] = made
        return record

    def exception(self, kind: Any) -> str | None:
        """The name by which scripts raise a class of exceptions; None for what is none.

        One of the user's is a class of the program.  In a file it is the tree of its bases alone: scripts catch
        nothing, so its methods have no say, and what a caller catches is the base that every process has.
        """
        if not isinstance(kind, type) or not issubclass(kind, Exception):
            return None
        if getattr(builtins, kind.__name__, None) is kind:
            return next(base.__name__ for base in kind.__mro__ if base.__name__ in tables.EXCEPTIONS)
        if kind not in self._exceptions:
            bases = [name for base in kind.__bases__ if (name := self.exception(base)) is not None]
            record = Class(self.program.free_name(kind.__name__), "exception", bases=tuple(dict.fromkeys(bases)))
            record.source = kind
            self._exceptions[kind] = self.program.classes[record.name] = record
        return self._exceptions[kind].name

    # -- methods

    def method(self, record: Class, name: str) -> Function | None:
        """The function of a method, compiled when it is first asked for; None if there is none."""
        if name in record.methods:
            return record.methods[name]
        if record.kind in ("library", "interface", "enum", "exception", "list", "dict"):
            return None
        kind = record.source if isinstance(record.source, type) else type(record.source)
        found = inspect.getattr_static(kind, name, None)
        if isinstance(found, property):
            found = found.fget
        static = isinstance(found, staticmethod)
        if static:
            found = found.__func__
        if not isinstance(found, types.FunctionType) or found.__module__.startswith("jitorch.nn."):
            return None
        if static:
            record.static |= {name}
        if name == "__init__" and record.kind == "module":
            return None
        return self.compiler.method(record, name, found, static)


def get_hints(function: Any) -> dict[str, Any]:
    """The annotations of a function of this library, as far as they can be read."""
    try:
        return typing.get_type_hints(function)
    except NameError:
        return {}
