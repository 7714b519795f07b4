"""The types of graph values: tensors of known dtype and shape, Python numbers, containers, the effect token.

Text forms: ``f32[B, 4*T, 128]``, ``int``, ``float``, ``bool``, ``str``, ``none``, ``effect``, ``list[T]``,
``tuple[T, U]``, ``dict[K, V]``, ``optional[T]`` and ``record Name{field: T}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jitorch import dtypes
from jitorch.dtypes import DType

if TYPE_CHECKING:
    from jitorch.dims import Dim


class Type:
    """The base of all types; frozen and hashable."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
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
PYTHON_TYPES: dict[type, ScalarType] = {int: INT, float: FLOAT, bool: BOOL, str: STR, type(None): NONE}
_NUMBERS = {dtypes.int64: INT, dtypes.float64: FLOAT, dtypes.bool_: BOOL}


@dataclass(frozen=True, slots=True)
class EffectType(Type):
    """The token that orders what is observable."""

    def __str__(self) -> str:
        return "effect"


EFFECT = EffectType()


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
class RecordType(Type):
    """An object of class ``name`` with typed fields."""

    name: str
    fields: tuple[tuple[str, Type], ...]

    def __str__(self) -> str:
        return f"record {self.name}{{{', '.join(f'{name}: {type}' for name, type in self.fields)}}}"


ArrayType = TensorType | ScalarType


def like(type: ArrayType, dtype: DType) -> ArrayType:
    """``type`` with another dtype; a Python number stays one."""
    if isinstance(type, TensorType):
        return TensorType(dtype, type.shape)
    return _NUMBERS[dtype]
