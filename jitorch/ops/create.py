"""Constants and index ramps: ops without tensor operands."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dims import Dim
from jitorch.dtypes import DType
from jitorch.ir import kernel as k
from jitorch.ir.literal import Literal
from jitorch.ir.sizes import size_expr
from jitorch.ir.types import PYTHON_TYPES, TensorType
from jitorch.ops.registry import primitive


@primitive
def constant(*, value: complex, dtype: DType) -> Any:
    """A 0-d tensor holding ``value``."""


@constant.type_rule
def _(*, value, dtype):
    return TensorType(dtype, ())


@constant.numpy
def _(*, value, dtype):
    return np.asarray(value, dtype.numpy)


@constant.pull
def _(index, *, value, dtype):
    return k.const(value, dtype)


@primitive
def number(*, value: complex) -> Any:
    """A Python number."""


@number.type_rule
def _(*, value):
    return PYTHON_TYPES[type(value)]


@number.numpy
def _(*, value):
    return value


@number.pull
def _(index, *, value):
    return k.const(value, PYTHON_TYPES[type(value)].dtype)


@primitive(lowering="extern")
def literal(*, value: Literal) -> Any:
    """A constant array."""


@literal.type_rule
def _(*, value):
    return value.type


@literal.numpy
def _(*, value):
    return value.array


@primitive
def iota(*, size: Dim, dtype: DType = dtypes.int64) -> Any:
    """``0, 1, ..., size - 1``."""


@iota.type_rule
def _(*, size, dtype):
    return TensorType(dtype, (size,))


@iota.numpy
def _(*, size, dtype):
    return np.arange(size).astype(dtype.numpy)


@iota.pull
def _(index, *, size, dtype):
    return k.cast(index[0], dtype)


@primitive
def size_of(*, size: Dim) -> Any:
    """A size as a Python int."""


@size_of.type_rule
def _(*, size):
    return PYTHON_TYPES[int]


@size_of.numpy
def _(*, size):
    return int(size)


@size_of.pull
def _(index, *, size):
    return size_expr(size)


def size_number(size: Dim) -> Any:
    """A size for arithmetic with tensors: an int, or one of run time where it is symbolic."""
    return size if isinstance(size, int) else size_of(size=size)
