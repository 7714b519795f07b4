"""``FloatTensor`` and its like: PyTorch's old names of tensors of one dtype.

``FloatTensor([1, 2])`` and ``FloatTensor(2, 3)`` make tensors, ``isinstance(x, FloatTensor)`` asks
for the dtype.
"""

from __future__ import annotations

from typing import Any

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.ops.factory import constructed
from jitorch.tensor import Tensor


class TypedTensor(type):
    """The class of the names below; they have no instances of their own."""

    dtype: DType

    def __call__(cls, *args: Any, device: Any = None) -> Tensor:
        """A tensor of this dtype with the given data, or an `empty` one of the given sizes."""
        return constructed(*args, dtype=cls.dtype, device=device)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype


def _typed(name: str, dtype: DType) -> TypedTensor:
    members = {"dtype": dtype, "__doc__": f"Tensors of dtype {dtype.name}.", "__module__": "jitorch"}
    return TypedTensor(name, (), members)


FloatTensor = _typed("FloatTensor", dtypes.float32)
DoubleTensor = _typed("DoubleTensor", dtypes.float64)
HalfTensor = _typed("HalfTensor", dtypes.float16)
BFloat16Tensor = _typed("BFloat16Tensor", dtypes.bfloat16)
ByteTensor = _typed("ByteTensor", dtypes.uint8)
CharTensor = _typed("CharTensor", dtypes.int8)
ShortTensor = _typed("ShortTensor", dtypes.int16)
IntTensor = _typed("IntTensor", dtypes.int32)
LongTensor = _typed("LongTensor", dtypes.int64)
BoolTensor = _typed("BoolTensor", dtypes.bool_)
