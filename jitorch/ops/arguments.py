"""What public names do with their arguments: axes, sizes and scalars in all the forms PyTorch takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitorch import dims
from jitorch.dims import Dim, SymDim
from jitorch.errors import ArgumentError, ShapeError, TensorIndexError, ValueRangeError

Tensor = Any


def is_tensor(x: Any) -> bool:
    return hasattr(x, "requires_grad")


def check_tensor(name: str, x: Any) -> None:
    if not is_tensor(x):
        raise ArgumentError(f"{name}: expected a tensor", expected="Tensor", actual=type(x).__name__)


def axis_of(name: str, dim: Any, rank: int) -> int:
    """``dim`` counted from the start, within ``rank`` axes (a 0-d tensor counts as one axis)."""
    limit = max(rank, 1)
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise ArgumentError(f"{name}: an axis is an int", expected="int", actual=type(dim).__name__)
    dim = dim.__index__()
    if not -limit <= dim < limit:
        raise TensorIndexError(f"{name}: axis out of range", expected=f"{-limit} to {limit - 1}", actual=dim)
    return dim + limit if dim < 0 else dim


def axes_of(name: str, dim: Any, rank: int, empty_is_all: bool = True) -> tuple[int, ...]:
    """Distinct axes, counted from the start and sorted; None (and, by default, no axis) means all of them."""
    if dim is None or (empty_is_all and isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(rank))
    given = dim if isinstance(dim, (tuple, list)) else (dim,)
    axes = [axis_of(name, d, rank) for d in given]
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: an axis appears more than once", expected="distinct axes", actual=dim)
    # The one axis that a 0-d tensor counts as is no axis of its shape.
    return tuple(sorted(axes)) if rank else ()


def one_size(name: str, size: Any) -> Dim:
    """One size: an int, a size of a traced tensor, or a tensor of one integer."""
    if type(size) is int or isinstance(size, SymDim):
        return size
    if isinstance(size, (bool, float, str)) or not hasattr(size, "__index__"):
        raise ArgumentError(f"{name}: a size is an int", expected="int", actual=f"{type(size).__name__} {size!r}")
    return size.__index__()


def sizes_of(name: str, args: Sequence[Any], keyword: Any = None) -> tuple[Dim, ...]:
    """Sizes given as ``f(2, 3)``, ``f((2, 3))`` or ``f(size=(2, 3))``."""
    if keyword is not None:
        if args:
            raise ArgumentError(f"{name}: sizes given twice", actual=f"{args} and {keyword}")
        args = (keyword,)
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = args[0]
    return tuple(one_size(name, a) for a in args)


def shape_of(name: str, args: Sequence[Any], keyword: Any = None) -> tuple[Dim, ...]:
    """`sizes_of`, none of them negative."""
    sizes = sizes_of(name, args, keyword)
    if any(isinstance(d, int) and d < 0 for d in sizes):
        raise ShapeError(f"{name}: a size is negative", expected="sizes >= 0", actual=sizes)
    return sizes


def ints_of(name: str, args: Sequence[Any], keyword: Any = None) -> tuple[int, ...]:
    """Axes or counts given one by one, or as one sequence."""
    result = sizes_of(name, args, keyword)
    if not all(isinstance(d, int) for d in result):
        raise ArgumentError(f"{name}: expected ints", actual=result)
    return result  # type: ignore[return-value]


def infer_shape(name: str, total: Dim, shape: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """``shape`` with its -1, if it has one, replaced by what makes ``total`` elements."""
    wild = [i for i, d in enumerate(shape) if isinstance(d, int) and d == -1]
    if any(isinstance(d, int) and d < -1 for d in shape) or len(wild) > 1:
        raise ShapeError(f"{name}: not a shape", expected="sizes >= 0, at most one -1", actual=shape)
    rest = dims.prod(d for i, d in enumerate(shape) if i not in wild)
    if not wild:
        if not dims.equal(rest, total):
            raise ShapeError(
                f"{name}: the number of elements differs", expected=f"{total} elements", actual=f"{shape}: {rest}"
            )
        return shape
    if isinstance(rest, int) and rest == 0:
        raise ShapeError(f"{name}: the size for -1 is ambiguous", actual=f"{shape} for {total} elements")
    if not dims.is_multiple(total, rest):
        raise ShapeError(f"{name}: the number of elements differs", expected=f"a divisor of {total}", actual=shape)
    at = wild[0]
    return (*shape[:at], dims.floordiv(total, rest), *shape[at + 1 :])


def number_of(name: str, value: Any) -> Any:
    """A Python number, or a run-time number, given as either, a NumPy scalar or a tensor of one element."""
    if isinstance(value, np.generic):
        return value.item()
    if is_tensor(value):
        if value.ndim:
            raise ValueRangeError(f"{name}: expected a number", expected="a 0-d tensor", actual=value.type)
        return value
    if isinstance(value, SymDim) or (not isinstance(value, (bool, int, float, complex)) and not hasattr(value, "type")):
        raise ArgumentError(f"{name}: expected a number", expected="int, float or bool", actual=type(value).__name__)
    return value
