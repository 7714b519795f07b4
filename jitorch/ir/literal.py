"""Literal: an immutable array inside a graph attribute, compared and named by its contents."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.ir.types import TensorType

_NUMBERS: dict[dtypes.Category, tuple[type, ...]] = {
    dtypes.Category.BOOL: (bool,),
    dtypes.Category.INT: (int,),
    dtypes.Category.FLOAT: (int, float),
    dtypes.Category.COMPLEX: (int, float, complex),
}


class Literal:
    """A constant array.  Two literals are equal when dtype, shape and bytes are."""

    def __init__(self, array: np.ndarray[Any, Any]):
        native = dtypes.from_numpy(array.dtype).numpy
        self.array = np.ascontiguousarray(array, native).reshape(array.shape)
        self.array.flags.writeable = False

    @classmethod
    def of(cls, type: TensorType, items: Sequence[bool | int | float | complex]) -> Literal:
        """A literal of a static ``type`` from its elements in row-major order.

        TypeError, ValueError or OverflowError where an item is not a number of the dtype's category or there
        are not as many as the type has; a float is rounded to the dtype.
        """
        dtype = type.dtype
        for item in items:
            if not isinstance(item, _NUMBERS[dtype.category]) or (isinstance(item, bool) and dtype is not dtypes.bool_):
                raise TypeError(f"{item!r} is no {dtype.name}")
        shape: Any = type.shape
        with np.errstate(over="ignore"):
            return cls(np.array(items, dtype.numpy).reshape(shape))

    def items(self) -> list[Any]:
        """The elements as Python numbers, in row-major order; a NaN is the usual one, whatever its bits."""
        dtype = self.type.dtype
        if dtype.category < dtypes.Category.FLOAT:
            return self.array.ravel().tolist()
        with np.errstate(invalid="ignore"):
            wide = self.array.ravel().astype(np.complex128 if dtype.is_complex else np.float64)
        # A complex number is a pair of floats.
        parts = wide.view(np.float64)
        parts[np.isnan(parts)] = np.nan
        return wide.tolist()

    @property
    def type(self) -> TensorType:
        return TensorType(dtypes.from_numpy(self.array.dtype), self.array.shape)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.type}:".encode() + self.array.tobytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<literal {self.type}>"
