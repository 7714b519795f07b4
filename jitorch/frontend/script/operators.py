"""The types of operators' results, and what values of built-in types have."""

from __future__ import annotations

from typing import Any

from jitorch.frontend.script import relations, tables
from jitorch.frontend.script.relations import NUMBER, NUMBERS
from jitorch.ir.graph import Value
from jitorch.ir.types import (
    BOOL,
    COMPLEX,
    DEVICE,
    DTYPE,
    FLOAT,
    INT,
    STR,
    TENSOR,
    DictType,
    ListType,
    RecordType,
    TupleType,
    Type,
)

_BITS = frozenset("and or xor lshift rshift".split())


def members_of(kind: Type) -> tuple[dict[str, Type], Any]:
    """The attributes and the methods of a type that is no tensor and no class."""
    match kind:
        case ListType():
            return {}, tables.LIST_METHODS
        case DictType():
            return {}, tables.DICT_METHODS
        case TupleType():
            return {}, tables.TUPLE_METHODS
    attributes: dict[Type, dict[str, Type]] = {
        DEVICE: tables.DEVICE_ATTRIBUTES, DTYPE: tables.DTYPE_ATTRIBUTES, COMPLEX: tables.COMPLEX_ATTRIBUTES,
    }  # fmt: skip
    return attributes.get(kind, {}), tables.STR_METHODS if kind == STR else ()


def element_of(expected: Type | None) -> Type | None:
    for member in () if expected is None else relations.members(expected):
        if isinstance(member, ListType):
            return member.element
    return None


def iterated_type(kind: Type) -> Type | None:
    match kind:
        case ListType(element):
            return element
        case DictType(key, _):
            return key
        case RecordType("iterator", ((_, element),)):
            return element
        case TupleType(elements) if len(set(elements)) == 1:
            return elements[0]
    return {STR: STR, TENSOR: TENSOR}.get(kind)


def as_number(type: Type) -> Type:
    """A union of numbers is a number; any other type is itself."""
    members = set(relations.members(type))
    return NUMBER if len(members) > 1 and members <= {*NUMBERS} else type


def operator_type(name: str, left: Value, right: Value, constants: dict[Value, Any]) -> Type | None:
    a, b = as_number(left.type), as_number(right.type)
    numbers = {*NUMBERS, NUMBER, COMPLEX}
    if TENSOR in (a, b):
        return TENSOR if {a, b} <= numbers | {TENSOR} else None
    if a in numbers and b in numbers:
        return _number_type(name, a, b, constants.get(right))
    match name, a, b:
        case "add", _, _ if a == b == STR:
            return STR
        case "mod", _, _ if a == STR:
            return STR
        case "mul", _, _ if {a, b} <= {STR, INT} and a != b:
            return STR
        case "add", ListType(x), ListType(y):
            joined = relations.join(x, y)
            return None if joined is None else ListType(joined)
        case "mul", ListType(), _ if b == INT:
            return a
        case "mul", _, ListType() if a == INT:
            return b
        case "add", TupleType(x), TupleType(y):
            return TupleType((*x, *y))
        case "mul", TupleType(x), _ if isinstance(constants.get(right), int):
            return TupleType(x * constants[right])
    return None


def _number_type(name: str, a: Type, b: Type, exponent: Any) -> Type | None:
    if name == "matmul":
        return None
    if name in _BITS:
        if a == b == BOOL and "shift" not in name:
            return BOOL
        return INT if {a, b} <= {INT, BOOL} else None
    if COMPLEX in (a, b):
        return COMPLEX if name not in ("mod", "floordiv") else None
    if FLOAT in (a, b) or name == "truediv":
        return FLOAT
    if NUMBER in (a, b):
        return NUMBER
    if name == "pow" and not (isinstance(exponent, int) and exponent >= 0):
        return FLOAT
    return INT
