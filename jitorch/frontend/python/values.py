"""Kinds of Python values, as the protocol tells them apart."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import functools
import os
import re
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

import numpy as np

DICTS = (dict, OrderedDict, defaultdict, Counter)
LISTS = (list, deque)
SETS = (set,)
MUTABLE = frozenset(DICTS + LISTS + SETS)

# Immutable, and without parts that a trace would look at one by one.
PLAIN = frozenset(
    {
        bool, int, float, complex, str, bytes, range, type(None), type(Ellipsis), type(NotImplemented),
        decimal.Decimal, fractions.Fraction, re.Pattern, re.Match, types.CodeType, types.GenericAlias, types.UnionType,
        datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone,
    }
)  # fmt: skip
_PLAIN_BASES = (int, float, complex, str, bytes, enum.Enum, np.generic, np.dtype)

# Objects that are themselves: guarded by identity, and the same at every call from then on.
IDENTITIES = (type, types.ModuleType, types.BuiltinFunctionType, np.ufunc, property)

_STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_VERSIONED = frozenset({"jitorch", "numpy", "ml_dtypes"})
_HEAP_TYPE, _IMMUTABLE_TYPE = 1 << 9, 1 << 8  # of `PyTypeObject.tp_flags`

VIEWS = (type({}.keys()), type({}.values()), type({}.items()))


def is_plain(value: Any) -> bool:
    """Whether ``value`` is an immutable constant, guarded as a whole by equality."""
    kind = type(value)
    if kind in PLAIN or isinstance(value, _PLAIN_BASES):
        return True
    if kind is tuple or kind is frozenset:
        return all(type(x) is not float and (is_plain(x) or isinstance(x, type)) for x in value)
    if kind is slice:
        return all(x is None or is_plain(x) for x in (value.start, value.stop, value.step))
    return False


def is_identical(a: Any, b: Any) -> bool:
    """Whether nothing tells two constants apart: they are equal, of one type at every depth, zeros of one sign."""
    if type(a) is not type(b):
        return False
    if isinstance(a, type):
        return a is b
    if isinstance(a, (tuple, frozenset)):
        return len(a) == len(b) and all(map(is_identical, a, b))
    if type(a) is slice:
        return is_identical((a.start, a.stop, a.step), (b.start, b.stop, b.step))
    if type(a) in (int, str, bytes):
        return a == b
    return bool(a == b or (a != a and b != b)) and repr(a) == repr(b)


def is_iterator(value: Any) -> bool:
    return hasattr(type(value), "__next__")


def python_function(kind: type, name: str) -> types.FunctionType | None:
    """The special method ``name`` of a class, if it is written in Python."""
    found = getattr(kind, name, None)
    return found if isinstance(found, types.FunctionType) else None


def native_new(kind: type) -> types.BuiltinFunctionType:
    """The ``__new__`` written in C that makes instances of a class."""
    found = (owner.__dict__.get("__new__") for owner in kind.__mro__)
    return next(new for new in found if isinstance(new, types.BuiltinFunctionType))


def is_of_the_user(kind: type) -> bool:
    """Whether a class statement, which C code runs none of, made the class: it can be changed."""
    return bool(kind.__flags__ & _HEAP_TYPE) and not kind.__flags__ & _IMMUTABLE_TYPE


@functools.cache
def is_versioned(name: str) -> bool:
    """Whether a module's contents are known by versions: of Python, NumPy or jitorch."""
    root = name.partition(".")[0]
    if root in _VERSIONED:
        return True
    if root not in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(root), "__file__", None)
    # A script's own file may be called like a module of the library.
    return file is None or (file.startswith(_STANDARD) and "site-packages" not in file)


def class_entry(kind: type, name: str) -> tuple[type, Any] | None:
    """The class of the mro that defines ``name``, and what its dictionary holds for it."""
    for owner in kind.__mro__:
        if name in owner.__dict__:
            return owner, owner.__dict__[name]
    return None


def slots(kind: type) -> list[str]:
    """The names that the class and its bases keep in slots."""
    entries = [(n, e) for owner in kind.__mro__ for n, e in owner.__dict__.items()]
    return [n for n, e in entries if isinstance(e, types.MemberDescriptorType) and n != "__dict__"]


def is_namedtuple(kind: type) -> bool:
    return issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple)
