"""The short way of an elementwise op: plain stored tensors of one type, and numbers that need no promotion.

For such operands the result is that of one NumPy function, and nothing is to be cast.  It also broadcasts, where no
gradient is wanted.  Everything else takes the ordinary way: `elementwise` returns NotImplemented.  The results are the
same, bit for bit.  `jitorch.frontend.eager.native` does the same in machine code, for tensors of one shape.  For large
tensors there are kernels (`jitorch.frontend.eager.flat`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from math import prod
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import Category, DType
from jitorch.errors import ShapeError
from jitorch.frontend.eager.interpreter import quieten, restore
from jitorch.frontend.eager.large import LARGE, LARGE_ELEMENTWISE
from jitorch.frontend.eager.tape import ElementNode
from jitorch.ir import scalars
from jitorch.ir.op import Op
from jitorch.ir.types import TensorType
from jitorch.ops import dispatch
from jitorch.ops.normalize import broadcast_shapes
from jitorch.tensor import Tensor

DTYPES = (dtypes.float32, dtypes.float64, dtypes.int64, dtypes.int32, dtypes.bool_)
"""Those that are worth a short way."""


@dataclass(frozen=True, slots=True)
class Loops:
    """The NumPy function that is an op's meaning, and the dtype of its result by that of its operands.

    ``differentiable``: the result has a gradient and the op a rule for it.  ``limit``: the elements from which on a
    kernel, by two threads and with a call that takes ten microseconds, is faster.
    """

    ufunc: Any
    arity: int
    results: dict[DType, DType]
    differentiable: bool
    limit: int = LARGE


_NONE = Loops(None, 0, {}, False)
STEPS_LIMIT = 1 << 17
"""Elements from which on a kernel is faster where the function is one instruction."""
_STEPS = frozenset((
    "add", "sub", "mul", "div", "neg", "abs", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "not", "sqrt",
))  # fmt: skip
"""What is one instruction of a vector, in NumPy's loops as in a kernel's."""


def loops_of(op: Any) -> Loops:
    """What `elementwise` knows of ``op``; found out once."""
    machine = scalars.TABLE[op.scalar]
    ufunc = machine.numpy
    if not isinstance(ufunc, np.ufunc) or ufunc.nin != machine.arity or machine.name == "where":
        op.loops = _NONE
        return _NONE
    results: dict[DType, DType] = {}
    for dtype in DTYPES:
        result = dtypes.bool_ if machine.to_bool else dtype
        signature = f"{dtype.numpy.char * machine.arity}->{result.numpy.char}"
        promoted = (op.promote == "float" and dtype.category < Category.FLOAT) or (
            op.promote == "bool" and dtype is not dtypes.bool_
        )
        if dtype.category in machine.accepts and not promoted and signature in ufunc.types:
            results[dtype] = result
    limit = STEPS_LIMIT if machine.name in _STEPS else LARGE
    op.loops = Loops(ufunc, machine.arity, results, not machine.to_bool and "vjp" in op.rules, limit)
    return op.loops


def elementwise(op: Op, args: tuple[Any, ...]) -> Any:
    """The result of ``op``, or NotImplemented.  No trace is on."""
    loops: Loops = op.loops or loops_of(op)  # type: ignore[attr-defined]
    if len(args) != loops.arity:
        return NotImplemented
    first = args[0]
    tensor = first if isinstance(first, Tensor) else args[-1]
    if not isinstance(tensor, Tensor):
        return NotImplemented
    type_, array = tensor._type, tensor._array
    result_dtype = loops.results.get(type_.dtype)
    if result_dtype is None or array is None:
        return NotImplemented
    recorded = False
    for x in args:
        if isinstance(x, Tensor):
            if x._base is not None and x._view_version != x._base._view_version:
                return NotImplemented
            recorded = recorded or x._requires_grad or x._node is not None
    recorded = recorded and result_dtype is not dtypes.bool_ and dispatch.is_grad_enabled()
    if recorded and not loops.differentiable:
        return NotImplemented
    is_large = array.size >= LARGE_ELEMENTWISE
    if array.size >= loops.limit and not (recorded and is_large):
        out = _large(op, args, type_, result_dtype)
        if recorded and out is not NotImplemented:
            ElementNode(op, args, out)
        if out is not NotImplemented:
            return out
    if is_large:
        return NotImplemented
    token = quieten()
    try:
        if loops.arity == 1:
            result = loops.ufunc(array)
        else:
            other = args[1] if tensor is first else first
            operand = operand_of(other, type_)
            if operand is None and not recorded:
                operand = _of_another_shape(other, array, loops.limit)
            if operand is None:
                return NotImplemented
            result = loops.ufunc(array, operand) if tensor is first else loops.ufunc(operand, array)
    finally:
        restore(token)
    if type(result) is not np.ndarray:
        result = np.asarray(result)
    is_known = result_dtype is type_.dtype and result.shape == type_.shape
    out = Tensor._of(result, type_) if is_known else Tensor._from_array(result)
    if recorded:
        ElementNode(op, args, out)
    return out


def _large(op: Op, args: tuple[Any, ...], type_: TensorType, result: DType) -> Any:
    """The result of a large call by a kernel, if nothing is to be promoted or repeated."""
    if not all(operand_of(x, type_) is not None for x in args):
        return NotImplemented
    return import_module("jitorch.frontend.eager.flat").call(op, args, type_, result)


def operand_of(x: Any, type_: TensorType) -> Any:
    """``x`` as the NumPy function takes it beside a tensor of ``type_``, or None if it is to be promoted."""
    if isinstance(x, Tensor):
        return x._array if x._type is type_ or x._type == type_ else None
    if type(x) is float:
        return type_.dtype.numpy.type(x) if type_.dtype.category is Category.FLOAT else None
    if type(x) is int and -(2**31) < x < 2**31:
        return type_.dtype.numpy.type(x) if type_.dtype is not dtypes.bool_ else None
    return None


def _of_another_shape(x: Any, array: np.ndarray[Any, Any], limit: int) -> np.ndarray[Any, Any] | None:
    """The array of a tensor of the dtype of ``array``, if NumPy broadcasts both to less than ``limit`` elements."""
    other = x._array if isinstance(x, Tensor) else None
    if other is None or other.dtype is not array.dtype:
        return None
    shape = spread(array.shape, other.shape)
    return None if shape is None or prod(shape) >= limit else other


def spread(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    """What ``shapes`` broadcast to, None if they do not."""
    try:
        return broadcast_shapes("", shapes)
    except ShapeError:
        return None
