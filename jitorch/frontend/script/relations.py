"""How the types of script graphs relate: which value may stand where, and what two branches have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jitorch.devices import Device
from jitorch.dtypes import DType
from jitorch.ir.types import (
    ANY,
    BOOL,
    COMPLEX,
    DEVICE,
    DTYPE,
    FLOAT,
    INT,
    NONE,
    STR,
    TENSOR,
    AnyTensorType,
    DictType,
    ListType,
    OptionalType,
    RecordType,
    ScalarType,
    TensorType,
    TupleType,
    Type,
    UnionType,
)
from jitorch.tensor import Tensor

UNKNOWN = RecordType("unknown", ())
"""The element of an empty list or dict until the first element is put into it."""

NUMBER = UnionType((BOOL, INT, FLOAT))
"""What ``item()`` gives: a number of which only the tensor's dtype says the kind."""

NUMBERS = (BOOL, INT, FLOAT)

_CLASSES: dict[Type, type | tuple[type, ...]] = {
    INT: int, FLOAT: (float, int), BOOL: bool, STR: str, NONE: type(None), COMPLEX: (complex, float, int),
    TENSOR: Tensor, DEVICE: (Device, str), DTYPE: DType, ANY: object,
}  # fmt: skip

Inherits = Callable[[str, str], bool]


def iterator(element: Type) -> RecordType:
    """What ``range``, ``zip`` and their like give: it can be iterated once."""
    return RecordType("iterator", (("element", element),))


def is_tuple_like(type: Type) -> bool:
    """Whether values unpack into a fixed number of parts: tuples, and results with named fields."""
    return isinstance(type, TupleType) or (
        isinstance(type, RecordType) and bool(type.fields) and type.name != "iterator"
    )


def parts(type: Type) -> tuple[Type, ...]:
    """The types of a tuple's elements."""
    if isinstance(type, TupleType):
        return type.elements
    return tuple(t for _, t in type.fields) if isinstance(type, RecordType) else ()


def has_unknown(type: Type) -> bool:
    """Whether ``type`` is, or holds, an empty container of which nothing is known yet."""
    match type:
        case ListType(element) | OptionalType(element):
            return has_unknown(element)
        case DictType(key, value):
            return has_unknown(key) or has_unknown(value)
        case TupleType(elements) | UnionType(elements):
            return any(map(has_unknown, elements))
    return type == UNKNOWN


def members(type: Type) -> tuple[Type, ...]:
    """The alternatives that ``type`` consists of."""
    if isinstance(type, OptionalType):
        return (*members(type.element), NONE)
    return type.members if isinstance(type, UnionType) else (type,)


def union(types: tuple[Type, ...]) -> Type:
    """The type of a value that is of one of ``types``."""
    found: list[Type] = []
    for type in types:
        found += [member for member in members(type) if member not in found]
    if ANY in found:
        return ANY
    rest = tuple(t for t in found if t != NONE)
    if not rest:
        return NONE
    plain = rest[0] if len(rest) == 1 else UnionType(rest)
    return OptionalType(plain) if NONE in found else plain


def without(type: Type, excluded: Callable[[Type], bool]) -> Type | None:
    """``type`` less the alternatives that are ``excluded``; None where nothing is left."""
    left = tuple(member for member in members(type) if not excluded(member))
    return union(left) if left else None


def fits(actual: Type, expected: Type, inherits: Inherits = lambda a, b: False) -> bool:
    """Whether a value of type ``actual`` may stand where ``expected`` is asked for."""
    if actual in (expected, UNKNOWN) or expected == ANY:
        return True
    if isinstance(actual, (UnionType, OptionalType)) and actual != NUMBER:
        return all(fits(member, expected, inherits) for member in members(actual))
    if isinstance(expected, (UnionType, OptionalType)):
        return any(fits(actual, member, inherits) for member in members(expected)) or actual == NUMBER == expected
    if actual == NUMBER:
        return expected in NUMBERS
    match actual, expected:
        case (ScalarType("int"), ScalarType("float")) | (ScalarType("str"), ScalarType("device")):
            return True
        case (ScalarType("int" | "float"), ScalarType("complex")):
            return True
        case ((AnyTensorType() | TensorType()), (AnyTensorType() | TensorType())):
            return True
        case ListType(a), ListType(b):
            return a in (UNKNOWN, b) or (isinstance(a, (ListType, DictType, TupleType)) and fits(a, b, inherits))
        case DictType(k, v), DictType(l, w):
            return UNKNOWN in (k, v) or (
                k == l and (v == w or (fits(v, w, inherits) and not isinstance(w, ScalarType)))
            )
        case RecordType(a, fields), RecordType(b, _) if not fields:
            return inherits(a, b)
    if isinstance(expected, TupleType) and is_tuple_like(actual):
        found = parts(actual)
        return len(found) == len(expected.elements) and all(
            fits(a, b, inherits) for a, b in zip(found, expected.elements)
        )
    return False


def join(a: Type, b: Type, inherits: Inherits = lambda a, b: False) -> Type | None:
    """The type of a variable that is ``a`` after one branch and ``b`` after the other; None if there is none."""
    if fits(a, b, inherits):
        return b
    if fits(b, a, inherits):
        return a
    if NONE in members(a) or NONE in members(b):
        rest_a, rest_b = without(a, _is_none), without(b, _is_none)
        if rest_a is None or rest_b is None:
            return union((a, b))
        joined = join(rest_a, rest_b, inherits)
        return None if joined is None else union((joined, NONE))
    if is_tuple_like(a) and is_tuple_like(b) and len(parts(a)) == len(parts(b)):
        joined_parts = [join(x, y, inherits) for x, y in zip(parts(a), parts(b))]
        return None if None in joined_parts else TupleType(tuple(joined_parts))  # type: ignore[arg-type]
    return None


def _is_none(type: Type) -> bool:
    return type == NONE


def mismatch(value: Any, type: Type, classes: Callable[[str], type | None]) -> str | None:
    """Where a Python ``value`` is not of ``type``: the path into it and what is there; None if it fits.

    ``classes`` gives the Python class of a record by its name.
    """
    expected = _CLASSES.get(type)
    if expected is not None:
        wrong = not isinstance(value, expected) or (isinstance(value, bool) and type in (INT, FLOAT, COMPLEX))
        return f" is a {_kind(value)}" if wrong else None
    match type:
        case OptionalType() | UnionType():
            found = [mismatch(value, member, classes) for member in members(type)]
            return None if None in found else f" is a {_kind(value)}"
        case ListType(element):
            if not isinstance(value, (list, tuple)):
                return f" is a {_kind(value)}"
            return next((f"[{i}]{m}" for i, x in enumerate(value) if (m := mismatch(x, element, classes))), None)
        case TupleType(elements):
            if not isinstance(value, tuple) or len(value) != len(elements):
                return f" is a {_kind(value)}"
            pairs = enumerate(zip(value, elements))
            return next((f"[{i}]{m}" for i, (x, t) in pairs if (m := mismatch(x, t, classes))), None)
        case DictType(key, item):
            if not isinstance(value, dict):
                return f" is a {_kind(value)}"
            keys = next((f" has a key that{m}" for x in value if (m := mismatch(x, key, classes))), None)
            return keys or next((f"[{x!r}]{m}" for x, v in value.items() if (m := mismatch(v, item, classes))), None)
        case RecordType(name, _):
            kind = classes(name)
            return None if kind is None or isinstance(value, kind) else f" is a {_kind(value)}"
    return None


def _kind(value: Any) -> str:
    if isinstance(value, tuple):
        return f"tuple of {len(value)}"
    return "None" if value is None else type(value).__name__


def type_of(value: Any) -> Type | None:
    """The type of a plain Python value, such as an attribute of a module; None for what scripts cannot hold."""
    for kind, found in (
        (bool, BOOL), (int, INT), (float, FLOAT), (str, STR), (complex, COMPLEX), (Tensor, TENSOR), (Device, DEVICE),
        (DType, DTYPE),
    ):  # fmt: skip
        if isinstance(value, kind):
            return found
    if value is None:
        return NONE
    if isinstance(value, list):
        element = _common(value)
        return None if element is None else ListType(element)
    if type(value) is tuple or type(value).__name__ == "Size":
        found_parts = [type_of(x) for x in value]
        return None if None in found_parts else TupleType(tuple(found_parts))  # type: ignore[arg-type]
    if isinstance(value, dict):
        key, item = _common(list(value)), _common(list(value.values()))
        return None if key is None or item is None else DictType(key, item)
    return None


def _common(values: list[Any]) -> Type | None:
    found: Type = UNKNOWN
    for value in values:
        kind = type_of(value)
        joined = None if kind is None else join(found, kind)
        if joined is None:
            return None
        found = joined
    return found
