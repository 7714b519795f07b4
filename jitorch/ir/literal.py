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
        return cls(np.array(items, dtype.numpy).reshape(type.shape))

    def items(self) -> list[Any]:
        """The elements as Python numbers, in row-major order."""
        is_float = self.type.dtype.is_floating_point
        return (self.array.astype(np.float64) if is_float else self.array).ravel().tolist()

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
