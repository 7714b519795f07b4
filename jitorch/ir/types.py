"""The types of graph values: tensors of known dtype and shape, Python numbers, containers, the effect token.

Text forms: ``f32[B, 4*T, 128]``, ``int``, ``float``, ``bool``, ``str``, ``none``, ``effect``, ``list[T]``,
``tuple[T, U]``, ``dict[K, V]``, ``optional[T]``, ``union[T, U]`` and ``record Name{field: T}``; a name of a record or
field that is not a dotted identifier is written as a JSON string.  Script graphs, which type Python without running it,
have ``tensor`` (of unknown dtype and shape), ``complex``, ``device``, ``dtype`` and ``any`` as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jitorch import dtypes
from jitorch.dtypes import DType

if TYPE_CHECKING:
    from jitorch.dims import Dim


class Type:
    """The base of all types; frozen and hashable."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, repr=False)
class TensorType(Type):
    """A row-major array of ``dtype`` whose axes have the sizes ``shape``."""

    dtype: DType
    shape: tuple[Dim, ...]

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> Dim:
        """The number of elements."""
        total: Dim = 1
        for dim in self.shape:
            total = total * dim
        return total

    def with_shape(self, shape: Iterable[Dim]) -> TensorType:
        return TensorType(self.dtype, tuple(shape))

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def __str__(self) -> str:
        return f"{self.dtype.short}[{', '.join(map(str, self.shape))}]"

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class ScalarType(Type):
    """A Python number, string or None.  Numbers behave as 0-d values that promote weakly."""

    name: str

    @property
    def dtype(self) -> DType:
        """How the number is held: i64, f64 or bool."""
        return {"int": dtypes.int64, "float": dtypes.float64, "bool": dtypes.bool_}[self.name]

    @property
    def shape(self) -> tuple[Dim, ...]:
        return ()

    @property
    def rank(self) -> int:
        return 0

    @property
    def size(self) -> int:
        return 1

    def __str__(self) -> str:
        return self.name


INT, FLOAT, BOOL = ScalarType("int"), ScalarType("float"), ScalarType("bool")
STR, NONE = ScalarType("str"), ScalarType("none")
COMPLEX, DEVICE, DTYPE, ANY = ScalarType("complex"), ScalarType("device"), ScalarType("dtype"), ScalarType("any")
PYTHON_TYPES: dict[type, ScalarType] = {int: INT, float: FLOAT, bool: BOOL, str: STR, type(None): NONE}
_NUMBERS = {dtypes.int64: INT, dtypes.float64: FLOAT, dtypes.bool_: BOOL}


@dataclass(frozen=True, slots=True)
class EffectType(Type):
    """The token that orders what is observable."""

    def __str__(self) -> str:
        return "effect"


EFFECT = EffectType()


class Token:
    """What stands for an effect token while a program runs: it holds nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<effect token>"


@dataclass(frozen=True, slots=True)
class AnyTensorType(Type):
    """A tensor of which neither dtype nor shape is known."""

    def __str__(self) -> str:
        return "tensor"


TENSOR = AnyTensorType()


@dataclass(frozen=True, slots=True)
class ListType(Type):
    element: Type

    def __str__(self) -> str:
        return f"list[{self.element}]"


@dataclass(frozen=True, slots=True)
class TupleType(Type):
    elements: tuple[Type, ...]

    def __str__(self) -> str:
        return f"tuple[{', '.join(map(str, self.elements))}]"


@dataclass(frozen=True, slots=True)
class DictType(Type):
    key: Type
    value: Type

    def __str__(self) -> str:
        return f"dict[{self.key}, {self.value}]"


@dataclass(frozen=True, slots=True)
class OptionalType(Type):
    element: Type

    def __str__(self) -> str:
        return f"optional[{self.element}]"


@dataclass(frozen=True, slots=True)
class UnionType(Type):
    """A value of one of ``members``, which are at least two, none of them a union or an optional."""

    members: tuple[Type, ...]

    def __str__(self) -> str:
        return f"union[{', '.join(map(str, self.members))}]"


@dataclass(frozen=True, slots=True)
class RecordType(Type):
    """An object of class ``name`` with typed fields; without fields, a class that is described elsewhere."""

    name: str
    fields: tuple[tuple[str, Type], ...]

    def __str__(self) -> str:
        fields = ", ".join(f"{_quoted(name)}: {type}" for name, type in self.fields)
        return f"record {_quoted(self.name)}{{{fields}}}"


ArrayType = TensorType | ScalarType

_DOTTED_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def _quoted(name: str) -> str:
    return name if _DOTTED_NAME.fullmatch(name) else json.dumps(name)


def sizes(type: Type) -> Iterator[Dim]:
    """Every size that ``type`` contains, in order of appearance."""
    match type:
        case TensorType(_, shape):
            yield from shape
        case ListType(element) | OptionalType(element):
            yield from sizes(element)
        case TupleType(elements) | UnionType(elements):
            for element in elements:
                yield from sizes(element)
        case DictType(key, value):
            yield from sizes(key)
            yield from sizes(value)
        case RecordType(_, fields):
            for _, field in fields:
                yield from sizes(field)


def like(type: ArrayType, dtype: DType) -> ArrayType:
    """``type`` with another dtype; a Python number stays one."""
    if isinstance(type, TensorType):
        return TensorType(dtype, type.shape)
    return _NUMBERS[dtype]
