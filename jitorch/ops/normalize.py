"""Promotion and broadcasting, once, at the door.

`normalize` turns the operands of an elementwise op into tensors of one dtype and one shape by
explicit ``cast`` and ``broadcast_to`` ops.  Nothing after this point promotes or broadcasts, so no
gradient ever un-broadcasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.dtypes import Category, DType
from jitorch.errors import ArgumentError, DTypeError, ShapeError, ValueRangeError
from jitorch.ir import scalars
from jitorch.ir.op import Op
from jitorch.ir.types import ArrayType, ScalarType, like

PYTHON_NUMBERS = (bool, int, float, complex)

_structural: dict[str, Any] = {}


def install(cast: Any, broadcast_to: Any, constant: Any) -> None:
    """Give the door the three ops it inserts (they are defined with the others, after this module)."""
    _structural.update(cast=cast, broadcast_to=broadcast_to, constant=constant)


def category_default(category: Category) -> DType:
    """The dtype of a Python number of ``category`` that meets a lower category."""
    if category is Category.COMPLEX:
        return dtypes.complex128 if dtypes.get_default() is dtypes.float64 else dtypes.complex64
    return (dtypes.bool_, dtypes.int64, dtypes.get_default())[category]


def is_number(operand: Any) -> bool:
    """Whether ``operand`` is a real Python number, known now or, in a graph under construction, at run time.

    A test of it (``p < 0``) is then allowed: a trace guards what it found.
    """
    return isinstance(operand, (bool, int, float)) or isinstance(getattr(operand, "type", None), ScalarType)


def _rank(operand: Any) -> tuple[int, DType]:
    """Priority (2: axes, 1: 0-d, 0: Python number) and dtype of an operand."""
    if isinstance(operand, PYTHON_NUMBERS):
        return 0, dtypes.as_dtype(type(operand))
    type_ = operand.type
    if isinstance(type_, ScalarType):
        return 0, type_.dtype
    return (2 if type_.shape else 1), type_.dtype


def result_type(operands: Sequence[Any]) -> DType:
    """PyTorch's ``result_type`` of tensors and numbers."""
    result: DType | None = None
    ranked = sorted(map(_rank, operands), key=lambda pair: -pair[0])
    for priority in (2, 1, 0):
        group: DType | None = None
        for rank, dtype in ranked:
            if rank == priority:
                dtype = category_default(dtype.category) if rank == 0 else dtype
                group = dtype if group is None else dtypes.promote_types(group, dtype)
        if group is None:
            continue
        if result is None:
            result = group
        elif group.category > result.category:
            # A float keeps its width where it becomes complex.
            complex_of_float = group.is_complex and result.is_floating_point
            result = dtypes.promote_types(result, dtypes.complex64) if complex_of_float else group
    if result is None:
        raise ArgumentError("result_type: no operands")
    return result


def broadcast_shapes(name: str, shapes: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The shape that all ``shapes`` broadcast to, by NumPy's rule."""
    rank = max(map(len, shapes), default=0)
    result: list[Any] = []
    for axis in range(-rank, 0):
        size: Any = 1
        for shape in shapes:
            if len(shape) + axis < 0:
                continue
            d = shape[axis]
            if (isinstance(d, int) and d == 1) or d == size:
                continue
            if isinstance(size, int) and size == 1:
                size = d
            elif not dims.equal(d, size) and not dims.equal(d, 1):
                raise ShapeError(
                    f"{name}: shapes do not broadcast",
                    expected=f"equal sizes, or 1, at axis {axis}",
                    actual=" and ".join(f"({', '.join(map(str, s))})" for s in shapes),
                )
        result.append(size)
    return tuple(result)


def normalize(op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
    """Operands of ``op`` as tensors (or numbers, if none is a tensor) of one dtype and shape."""
    first = operands[0]
    for x in operands:
        if isinstance(x, PYTHON_NUMBERS) or not hasattr(x, "type"):
            break
        if x is not first and x.type != first.type:
            break
    else:
        if _is_ready(op, first.type):
            return tuple(operands)
    for name, x in zip(op.operand_names(len(operands)), operands):
        if not isinstance(x, PYTHON_NUMBERS) and not hasattr(x, "type"):
            raise ArgumentError(
                f"{op.name}: {name} must be a tensor or a number", expected="Tensor, bool, int, float or complex",
                actual=type(x).__name__,
            )  # fmt: skip
    promoted = operands[1:] if op.scalar == "where" else operands
    dtype = _target(op, promoted)
    wanted = [dtype] * len(operands)
    if op.scalar == "where":
        wanted[0] = dtypes.bool_
    if all(_rank(x)[0] == 0 for x in operands):
        return tuple(map(_as_number, operands, wanted))
    shape = broadcast_shapes(op.name, [() if isinstance(x, PYTHON_NUMBERS) else x.type.shape for x in operands])
    return tuple(_to(x, d, shape) for x, d in zip(operands, wanted))


def _is_ready(op: Op, type_: ArrayType) -> bool:
    if op.scalar == "where":
        return False
    if op.promote == "float":
        return type_.dtype.category >= Category.FLOAT
    return op.promote == "default" or type_.dtype is dtypes.bool_


def _target(op: Op, operands: Sequence[Any]) -> DType:
    if op.promote == "bool":
        return dtypes.bool_
    dtype = result_type(operands)
    if op.promote == "float" and dtype.category < Category.FLOAT:
        return dtypes.get_default()
    return dtype


def _as_number(x: Any, dtype: DType) -> Any:
    """Arithmetic among Python numbers keeps Python's types: int, or float in double precision."""
    if dtype.category is Category.FLOAT:
        dtype = dtypes.float64
    if not isinstance(x, PYTHON_NUMBERS):
        return x if x.type.dtype is dtype else _structural["cast"](x, dtype=dtype, number=True)
    return dtypes.python_type(dtype)(x)


def number_as(value: complex, dtype: DType) -> Any:
    """A Python number as ``dtype``'s kind of number; a negative one becomes unsigned as in C.

    Raises `ValueRangeError` where an int does not fit; NumPy and PyTorch let some of these pass.
    """
    if dtype.is_complex or (not isinstance(value, complex) and dtype.category is not Category.INT):
        try:
            return dtypes.python_type(dtype)(value)
        except OverflowError:
            raise ValueRangeError(f"an int is too large for {dtype.name}", actual=value) from None
    if isinstance(value, complex):
        raise DTypeError("a complex number does not fit", expected=dtype, actual=value)
    info = np.iinfo(dtype.numpy)
    lowest = info.min if dtype.is_signed else -info.max
    if not lowest <= value <= info.max:
        raise ValueRangeError(
            f"{value} does not fit {dtype.name}", expected=f"{info.min} to {info.max}", actual=value,
            hint="use a tensor of a wider dtype",
        )  # fmt: skip
    return int(value) if dtype.is_signed else int(value) % (info.max + 1)


def _to(x: Any, dtype: DType, shape: tuple[Any, ...]) -> Any:
    if isinstance(x, PYTHON_NUMBERS):
        x = _structural["constant"](value=number_as(x, dtype), dtype=dtype)
    elif isinstance(x.type, ScalarType) or x.type.dtype is not dtype:
        x = _structural["cast"](x, dtype=dtype)
    return x if x.type.shape == shape else _structural["broadcast_to"](x, shape=shape)


def elementwise_type(name: str, machine: scalars.Scalar, types: Sequence[ArrayType], start: int) -> ArrayType:
    """The type rule of every elementwise op: operands alike, dtype accepted."""
    model = types[-1]
    for i, t in enumerate(types):
        expected = model if i >= start else like(model, dtypes.bool_)
        if t != expected:
            kind = DTypeError if t.shape == expected.shape else ShapeError
            raise kind(f"{name}: operands must have one type", expected=expected, actual=", ".join(map(str, types)))
    if model.dtype.category not in machine.accepts:
        accepted = sorted(c.name.lower() for c in machine.accepts)
        raise DTypeError(f"{name}: does not take {model.dtype.name}", expected=" or ".join(accepted), actual=model)
    return like(model, dtypes.bool_) if machine.to_bool else model
