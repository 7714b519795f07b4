"""What users write for the script compiler: marks on functions, and functions that have a meaning inside of scripts."""

from __future__ import annotations

import contextlib
import inspect
import typing
import weakref
from typing import Any, Generic, NamedTuple, TypeVar

from jitorch.errors import ArgumentError
from jitorch.frontend.python.marks import is_dropped, is_ignored
from jitorch.frontend.script import relations
from jitorch.frontend.script.annotations import NotAType, type_of_annotation

F = TypeVar("F")
T = TypeVar("T")

_marks: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
interfaces: weakref.WeakSet[type] = weakref.WeakSet()
overloads: dict[str, list[Any]] = {}
"""The declared signatures of an overloaded function or method, by module and qualified name."""


class Attribute(NamedTuple):
    """An attribute of a module with the type that it is to have: ``self.names = jit.Attribute([], List[str])``."""

    value: Any
    type: Any


class Final(Generic[T]):
    """PyTorch's own spelling of `typing.Final`."""


def mark_of(function: Any) -> str | None:
    """``export``, ``ignore``, ``unused`` or ``script_method``, if the function has a mark."""
    if is_ignored(function):
        return "ignore"
    if is_dropped(function):
        return "unused"
    try:
        return _marks.get(function)
    except TypeError:  # what cannot be held weakly has no marks
        return None


def _mark(function: F, mark: str) -> F:
    if isinstance(function, property):
        _marks[function.fget] = mark
    else:
        _marks[function] = mark
    return function


def export(function: F) -> F:
    """Compile this method although ``forward`` does not call it."""
    return _mark(function, "export")


def unused(function: F) -> F:
    """Do not compile a function or method: a script that calls it raises."""
    return _mark(function, "unused")


def script_method(function: F) -> F:
    """Compile a method of a `ScriptModule` subclass."""
    return _mark(function, "script_method")


def interface(kind: type) -> type:
    """Make a class an interface: what has its methods fits where the class is written in an annotation."""
    interfaces.add(kind)
    return kind


def overload(function: F) -> F:
    """Declare one signature of the function of this name that follows."""
    key = f"{function.__module__}.{function.__qualname__}"  # type: ignore[attr-defined]
    overloads.setdefault(key, []).append(function)
    return function


def annotate(the_type: Any, the_value: T) -> T:
    """``the_value``, which in scripts has the type that is written: ``annotate(List[int], [])``."""
    return the_value


def is_scripting() -> bool:
    """False; in scripts True, and the other branch is not compiled."""
    return False


def is_tracing() -> bool:
    """False: no Python is frozen, so nothing needs to know."""
    return False


def isinstance_(value: Any, target: Any) -> bool:
    """`isinstance` that looks into containers: ``isinstance(value, List[int])``."""
    kinds = target if isinstance(target, tuple) else (target,)
    records: dict[str, type] = {}

    def record(kind: type) -> relations.RecordType:
        records[kind.__name__] = kind
        return relations.RecordType(kind.__name__, ())

    try:
        types = [type_of_annotation(kind, record) for kind in kinds]
    except NotAType as error:
        raise ArgumentError(f"isinstance: {error}", actual=target, hint=error.hint) from None
    return any(relations.mismatch(value, type, records.get) is None for type in types)


isinstance_.__name__ = isinstance_.__qualname__ = "isinstance"


@contextlib.contextmanager
def optimized_execution(should_optimize: bool) -> Any:
    """Accepted for PyTorch's sake."""
    yield


def scripted_overloads(function: Any) -> list[Any]:
    """The signatures declared for ``function``."""
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
    declared = overloads.get(name, [])
    return [f for f in declared if f is not function and inspect.isfunction(f)]


FINALS = (typing.Final, Final)
