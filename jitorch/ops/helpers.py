"""What bodies of composites share: axes, counts, means, and the dtype that halves are computed in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.dtypes import Category, DType
from jitorch.errors import ArgumentError, DTypeError, ShapeError
from jitorch.ops import dispatch
from jitorch.ops.create import constant, iota, size_of
from jitorch.ops.index import axis_of
from jitorch.ops.structure import broadcast_to, cast, reduce_sum, reshape_to

Tensor = Any


def axes_of(name: str, dim: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Axes counted from the start; None (or an empty sequence) stands for all of them."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(rank))
    axes = tuple(axis_of(name, d, rank) for d in ((dim,) if isinstance(dim, int) else dim))
    if len(set(axes)) != len(axes):
        raise ArgumentError(f"{name}: an axis is named twice", expected="each axis once", actual=dim)
    return axes if rank else ()


def number_of(size: Dim) -> Any:
    """A size as an operand: the int, or a number that is known at run time."""
    return size if isinstance(size, int) else size_of(size=size)


def count_over(x: Tensor, axes: Sequence[int]) -> Any:
    """How many elements ``axes`` span, as an operand."""
    return number_of(dims.prod([x.shape[a] for a in axes]))


def kept(x: Tensor, like: Tensor, axes: Sequence[int]) -> Tensor:
    """The reduction ``x`` of ``like`` over ``axes`` with those axes kept as size 1."""
    return reshape_to(x, shape=tuple(1 if i in axes else d for i, d in enumerate(like.shape)))


def sum_over(x: Tensor, axes: Sequence[int]) -> Tensor:
    """The sum over ``axes``, kept as size 1."""
    return kept(reduce_sum(x, axes=tuple(axes)), x, axes) if axes else x


def mean_over(x: Tensor, axes: Sequence[int]) -> Tensor:
    """The mean over ``axes``, kept as size 1."""
    return sum_over(x, axes) / count_over(x, axes)


def filled(value: Any, dtype: DType, shape: Sequence[Dim]) -> Tensor:
    """A tensor of equal elements."""
    return broadcast_to(constant(value=value, dtype=dtype), shape=tuple(shape))


def ramp(size: Dim, axis: int, rank: int, dtype: DType = dtypes.int64) -> Tensor:
    """``0, 1, ..., size - 1`` along ``axis`` of a tensor of ``rank`` axes, the others of size 1."""
    return reshape_to(iota(size=size, dtype=dtype), shape=tuple(size if i == axis else 1 for i in range(rank)))


def at_axis(x: Tensor, axis: int, rank: int) -> Tensor:
    """A vector (or one element) laid along ``axis`` of ``rank`` axes, so that it broadcasts."""
    return reshape_to(x, shape=tuple(x.shape[0] if i == axis and x.ndim else 1 for i in range(rank)))


def widen(x: Tensor) -> Tensor:
    """``float16`` and ``bfloat16`` as ``float32``: a composite rounds once, at its end."""
    return cast(x, dtype=dtypes.float32) if x.dtype in (dtypes.float16, dtypes.bfloat16) else x


def float_dtype(x: Tensor) -> DType:
    """The dtype of a floating point function of ``x``: its own, or the default one for integers and bool."""
    return x.dtype if x.dtype.category >= Category.FLOAT else dtypes.get_default()


def as_float(x: Tensor) -> Tensor:
    """``x`` in the dtype that a floating point function of it is computed in."""
    return widen(x) if x.dtype.category >= Category.FLOAT else cast(x, dtype=dtypes.get_default())


def narrow_to(x: Tensor, dtype: DType) -> Tensor:
    """``x`` in ``dtype``."""
    return x if x.dtype is dtype else cast(x, dtype=dtype)


def require_float(name: str, *tensors: Tensor | None) -> None:
    """Refuse operands that are not floating point."""
    for x in tensors:
        if x is not None and x.dtype.category is not Category.FLOAT:
            raise DTypeError(
                f"{name}: needs floating point operands", expected="float16, bfloat16, float32 or float64",
                actual=x.type, hint="convert with .to(jitorch.float32)",
            )  # fmt: skip


def require_real(name: str, *tensors: Tensor | None) -> None:
    """Refuse bool and complex operands."""
    for x in tensors:
        if x is not None and x.dtype.category not in (Category.INT, Category.FLOAT):
            raise DTypeError(f"{name}: needs real numbers", expected="an integer or float dtype", actual=x.type)


def require_rank(name: str, x: Tensor, *ranks: int) -> None:
    """Refuse a tensor with another number of axes."""
    if x.ndim not in ranks:
        raise ShapeError(
            f"{name}: wrong number of axes", expected=" or ".join(map(str, ranks)), actual=f"{x.ndim} in {x.type}"
        )


def store(name: str, inplace: bool, target: Tensor, result: Tensor) -> Tensor:
    """``result``, or with ``inplace`` the tensor ``target`` that it was written to."""
    if not inplace:
        return result
    if result.type != target.type:
        raise DTypeError(f"{name}: the result cannot be stored in place", expected=target.type, actual=result.type)
    return target._replace(result)


@contextmanager
def unrecorded() -> Iterator[None]:
    """Updates of state in this block are no part of any gradient."""
    token = dispatch.set_grad_enabled_flag(False)
    try:
        yield
    finally:
        dispatch.reset_grad_enabled(token)
