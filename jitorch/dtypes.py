"""Element types and the promotion table.

Promotion follows PyTorch's documented rules: operands fall into three priorities (tensors with
axes, 0-d tensors, Python numbers); a lower priority changes the result only when its *category*
(bool < int < float < complex) is higher.
See https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np

from jitorch.errors import ArgumentError, DTypeError


class Category(IntEnum):
    """What decides promotion first."""

    BOOL = 0
    INT = 1
    FLOAT = 2
    COMPLEX = 3


class DType:
    """One element type.  There is exactly one object for each, so ``is`` compares them.

    ``name`` is PyTorch's (``float32``), ``short`` the IR's (``f32``), ``numpy`` the NumPy dtype; that of
    bfloat16 comes from ml_dtypes, which is imported when somebody asks.
    """

    __slots__ = ("category", "is_signed", "itemsize", "name", "numpy", "short")

    def __init__(self, name: str, short: str, numpy: Any, category: Category, is_signed: bool = True):
        self.name, self.short, self.category, self.is_signed = name, short, category, is_signed
        if numpy is None:
            self.itemsize = 2
        else:
            self.numpy: np.dtype[Any] = np.dtype(numpy)
            self.itemsize = self.numpy.itemsize

    def __getattr__(self, name: str) -> Any:
        if name != "numpy":
            raise AttributeError(f"a dtype has no attribute {name!r}", name=name, obj=self)
        from ml_dtypes import bfloat16 as extension

        self.numpy = np.dtype(extension)
        return self.numpy

    @property
    def is_floating_point(self) -> bool:
        return self.category is Category.FLOAT

    @property
    def is_complex(self) -> bool:
        return self.category is Category.COMPLEX

    @property
    def bits(self) -> int:
        return 8 * self.itemsize

    def __repr__(self) -> str:
        return f"jitorch.{self.name}"

    def __str__(self) -> str:
        return f"jitorch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return by_name, (self.name,)


bool_ = DType("bool", "bool", np.bool_, Category.BOOL, is_signed=False)
uint8 = DType("uint8", "u8", np.uint8, Category.INT, is_signed=False)
uint16 = DType("uint16", "u16", np.uint16, Category.INT, is_signed=False)
uint32 = DType("uint32", "u32", np.uint32, Category.INT, is_signed=False)
uint64 = DType("uint64", "u64", np.uint64, Category.INT, is_signed=False)
int8 = DType("int8", "i8", np.int8, Category.INT)
int16 = DType("int16", "i16", np.int16, Category.INT)
int32 = DType("int32", "i32", np.int32, Category.INT)
int64 = DType("int64", "i64", np.int64, Category.INT)
float16 = DType("float16", "f16", np.float16, Category.FLOAT)
bfloat16 = DType("bfloat16", "bf16", None, Category.FLOAT)
float32 = DType("float32", "f32", np.float32, Category.FLOAT)
float64 = DType("float64", "f64", np.float64, Category.FLOAT)
complex64 = DType("complex64", "c64", np.complex64, Category.COMPLEX)
complex128 = DType("complex128", "c128", np.complex128, Category.COMPLEX)

ALL = (
    bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64,
    float16, bfloat16, float32, float64, complex64, complex128,
)  # fmt: skip

_BY_NAME = {d.name: d for d in ALL} | {
    "half": float16, "float": float32, "double": float64, "short": int16, "int": int32, "long": int64,
    "cfloat": complex64, "cdouble": complex128,
}  # fmt: skip
_BY_SHORT = {d.short: d for d in ALL}
_BY_NUMPY: dict[Any, DType] = {d.numpy: d for d in ALL if d is not bfloat16}
_BY_PYTHON: dict[Any, DType] = {bool: bool_, int: int64, float: float64, complex: complex128}


def by_name(name: str) -> DType:
    return _BY_NAME[name]


def by_short(short: str) -> DType:
    return _BY_SHORT[short]


def from_numpy(dtype: Any) -> DType:
    """The DType of a NumPy dtype, in native byte order."""
    try:
        return _BY_NUMPY[dtype]
    except (KeyError, TypeError):
        pass
    try:
        given = np.dtype(dtype)
    except TypeError:
        raise DTypeError("no dtype", expected=", ".join(d.name for d in ALL), actual=repr(dtype)) from None
    found = _BY_NUMPY.get(given.newbyteorder("="))
    if found is None and given == bfloat16.numpy:
        found = _BY_NUMPY[given] = bfloat16
    if found is None:
        raise DTypeError(f"NumPy dtype {given} has no tensor dtype", expected=", ".join(d.name for d in ALL))
    return found


def as_dtype(dtype: Any) -> DType:
    """``dtype`` given as a DType, Python type, NumPy dtype or name."""
    if isinstance(dtype, DType):
        return dtype
    if isinstance(dtype, str) and dtype in _BY_NAME:
        return _BY_NAME[dtype]
    if dtype in _BY_PYTHON:
        return _BY_PYTHON[dtype]
    return from_numpy(dtype)


@cache
def promote_types(a: DType, b: DType) -> DType:
    """The smallest dtype that ``a`` and ``b`` both convert to, by PyTorch's table."""
    if a is b:
        return a
    if a.category != b.category:
        low, high = sorted((a, b), key=lambda d: d.category)
        if high.is_complex and low.is_floating_point:
            return complex128 if low is float64 or high is complex128 else complex64
        return high
    if {a, b} == {float16, bfloat16}:
        return float32
    if a.category is Category.INT and a.is_signed != b.is_signed:
        signed, unsigned = (a, b) if a.is_signed else (b, a)
        if unsigned.itemsize < signed.itemsize:
            return signed
        if unsigned.itemsize >= 2:
            raise DTypeError(
                f"{a.name} and {b.name} have no common dtype",
                hint="PyTorch does not promote uint16, uint32 or uint64 either; convert one side with .to(...)",
            )
        return {1: int16, 2: int32, 4: int64}[unsigned.itemsize]
    return a if a.itemsize >= b.itemsize else b


def can_cast(source: DType, target: DType) -> bool:
    """Whether an in-place result of dtype ``source`` may be stored in ``target`` (category does not fall)."""
    return source.category <= target.category


def python_type(dtype: DType) -> type:
    """The Python number that ``.item()`` gives."""
    return (bool, int, float, complex)[dtype.category]


_default = [float32]
default_cell = _default
"""What `get_default` reads, for machine code that reads it."""


def get_default() -> DType:
    """The dtype of a float tensor made without one."""
    return _default[0]


def set_default(dtype: DType) -> None:
    if not dtype.is_floating_point:
        raise DTypeError("the default dtype must be a floating point one", expected="float32, ...", actual=dtype.name)
    _default[0] = dtype


class finfo:
    """The limits of a floating point dtype (the default one if none is given), as Python numbers.

    ``eps``: the distance from 1 to the next number; ``tiny``: the least positive normal number;
    ``resolution``: the decimal resolution, 10 to the power of minus the exact digits.
    """

    def __init__(self, dtype: Any = None):
        self._dtype = get_default() if dtype is None else as_dtype(dtype)
        if self._dtype.category < Category.FLOAT:
            raise ArgumentError("finfo: expected a floating point dtype", actual=self._dtype.name, hint="use iinfo()")
        from ml_dtypes import finfo as limits

        info = limits(self._dtype.numpy)
        self.bits, self.dtype = int(info.bits), self._dtype.name
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = float(f"1e-{info.precision}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and other._dtype is self._dtype

    def __hash__(self) -> int:
        return hash(self._dtype)

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny", "dtype")
        return f"finfo({', '.join(f'{name}={_short(getattr(self, name))}' for name in names)})"


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class iinfo:
    """The limits of an integer dtype: ``bits``, ``min`` and ``max``."""

    def __init__(self, dtype: Any):
        self._dtype = as_dtype(dtype)
        if self._dtype.category is not Category.INT:
            raise ArgumentError("iinfo: expected an integer dtype", actual=self._dtype.name, hint="use finfo()")
        info = np.iinfo(self._dtype.numpy)
        self.bits, self.min, self.max, self.dtype = int(info.bits), int(info.min), int(info.max), self._dtype.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and other._dtype is self._dtype

    def __hash__(self) -> int:
        return hash(self._dtype)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
