"""What an object is called in another process, and digests of what classes and functions do.

A record of a trace (`jitorch.frontend.records.record`) names classes, modules and functions.  A name is only good while
what it names still is what the trace saw: classes and functions of users go with a digest of their code, those of
jitorch, NumPy and the standard library with the versions that are part of a record's key.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import sys
import types
from typing import Any

from jitorch.errors import PACKAGE
from jitorch.frontend.python import code_digest
from jitorch.frontend.python.values import is_versioned

# Entries of a class that Python adds late, or that no code of a trace depends on.
_UNREAD = frozenset(
    "__doc__ __dict__ __weakref__ __module__ __annotations__ __annotations_cache__ __annotate_func__ __slotnames__ "
    "__static_attributes__ __firstlineno__ __abstractmethods__ _abc_impl __type_params__".split()
)
_CONSTANTS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
_MISSING = object()


class Unportable(Exception):
    """Something that a record cannot name; the message says what."""


class Changed(Exception):
    """Something that a record names is not here, or is no longer what it was."""


def is_package_code(code: types.CodeType) -> bool:
    """Whether ``code`` stands in a file of jitorch's, which the package's stamp covers."""
    return code.co_filename.startswith(PACKAGE)


def resolve(module: str, name: str) -> Any:
    """The object called ``name`` in ``module``, which must be imported.  Raises `Changed`."""
    found: Any = sys.modules.get(module)
    if found is None:
        raise Changed(f"{module} is not imported")
    for part in name.split(".") if name else ():
        found = getattr(found, part, _MISSING)
        if found is _MISSING:
            raise Changed(f"{module} has no {name}")
    return found


def name_of(value: Any) -> tuple[str, str] | None:
    """The module and the qualified name at which ``value`` itself is found, or None."""
    owner = getattr(value, "__objclass__", None)
    module = getattr(value, "__module__", None) or getattr(owner, "__module__", None) or "builtins"
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "<" in name:
        return None
    for place in (module, "types"):  # the class of functions says that it is of ``builtins``
        try:
            if resolve(place, name) is value:
                return place, name
        except Changed:
            continue
    return _TYPES.get(id(value))


_TYPES = {id(v): ("types", n) for n, v in vars(types).items() if isinstance(v, type)}


class Digests:
    """Digests of code and classes, each computed once; ``covered`` are those of all code that went in."""

    def __init__(self) -> None:
        self.covered: set[str] = set()
        self._classes: dict[int, str] = {}

    def code(self, code: types.CodeType) -> str:
        """What tells this code object from another one."""
        if is_package_code(code):
            return f"{code.co_filename[len(PACKAGE) :]}:{code.co_firstlineno} {code.co_qualname}"
        self._cover(code)
        return code_digest(code)

    def of(self, code: types.CodeType) -> str:
        """The digest under which `covered` holds a code object."""
        return code_digest(code)

    def _cover(self, code: types.CodeType) -> None:
        digest = code_digest(code)
        if digest in self.covered:
            return
        self.covered.add(digest)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._cover(constant)

    def type(self, kind: type) -> str:
        """What tells this class from another one: its name where versions cover it, else a digest of its contents."""
        name = f"{kind.__module__}.{kind.__qualname__}"
        if is_versioned(kind.__module__):
            return name
        known = self._classes.get(id(kind))
        if known is None:
            self._classes[id(kind)] = name  # a class may hold itself
            known = self._classes[id(kind)] = self._contents(kind, name)
        return known

    def _contents(self, kind: type, name: str) -> str:
        parts = [name, self.type(type(kind)), *(self.type(base) for base in kind.__mro__[1:])]
        for entry, value in kind.__dict__.items():
            if entry in ("__dataclass_fields__", "_member_map_"):
                parts += [f"{entry}.{k}={self.entry(v)}" for k, v in value.items()]
            elif entry not in _UNREAD:
                parts.append(f"{entry}={self.entry(value)}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def entry(self, value: Any) -> str:
        """An entry of a class: what of it a trace may depend on without a guard."""
        kind = type(value)
        if isinstance(value, types.FunctionType):
            # The functions that named tuples and dataclasses get run as they are, defaults and all.
            defaults = (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).items())
            return f"{self.code(value.__code__)} {self.entry(defaults)}"
        if kind in _CONSTANTS:
            return f"{kind.__name__} {value!r}"
        if isinstance(value, (staticmethod, classmethod)):
            return f"{kind.__name__} {self.entry(value.__func__)}"
        if isinstance(value, property):
            return f"property {self.entry(value.fget)} {self.entry(value.fset)} {self.entry(value.fdel)}"
        if isinstance(value, functools.cached_property):
            return f"cached_property {self.entry(value.func)}"
        if isinstance(value, dataclasses.Field):
            return self._field(value)
        if isinstance(value, tuple):
            return f"{kind.__name__}({', '.join(map(self.entry, value))})"
        if isinstance(value, type):
            return f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, enum.Enum):
            return f"{kind.__qualname__}.{value.name} {self.entry(value._value_)}"
        wrapped = getattr(value, "__jit_wrapped__", None) or getattr(value, "__wrapped__", None)
        return f"{kind.__module__}.{kind.__qualname__}{'' if wrapped is None else ' ' + self.entry(wrapped)}"

    def _field(self, field: Any) -> str:
        flags = (field.name, field._field_type.name, field.init, field.repr, field.compare, field.kw_only)
        return f"{flags} {self.entry(field.default)} {self.entry(field.default_factory)}"
