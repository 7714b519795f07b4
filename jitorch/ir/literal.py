"""Literal: an immutable array inside a graph attribute, compared and named by its contents."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.ir.types import TensorType


class Literal:
    """A constant array.  Two literals are equal when dtype, shape and bytes are."""

    def __init__(self, array: np.ndarray[Any, Any]):
        self.array = np.ascontiguousarray(array).reshape(array.shape)
        self.array.flags.writeable = False

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
