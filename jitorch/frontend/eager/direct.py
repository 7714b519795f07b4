"""Short ways of common functions on plain stored tensors that record nothing.

Each computes what the function's definition comes to in NumPy, with the same calls, and returns
NotImplemented for arguments that are not the usual ones.  See `jitorch.frontend.eager.shortcut` for
elementwise ops.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jitorch import allocator, dtypes
from jitorch.frontend.eager.interpreter import quieten, restore
from jitorch.frontend.eager.large import LARGE, LARGE_ELEMENTWISE
from jitorch.frontend.eager.shortcut import DTYPES, Loops, operand_of, spread
from jitorch.frontend.eager.views import short_way
from jitorch.ops import OPS, PUBLIC, dispatch
from jitorch.ops.index import getitem
from jitorch.ops.structure import reshape_to, slice_axes
from jitorch.tensor import Tensor

_FLOATS = (dtypes.float32, dtypes.float64)


def install() -> None:
    """Let the functions try their short ways first."""
    PUBLIC["matmul"].short = _matmul
    PUBLIC["sum"].short = _sum
    PUBLIC["mean"].short = _mean
    PUBLIC["reshape"].short = _reshape
    PUBLIC["clone"].short = _clone
    PUBLIC["cat"].short = _cat
    PUBLIC["where"].short = OPS["where"].short = _where
    getitem.short = _getitem
    for name in ("add", "sub", "div"):
        PUBLIC[name].short = _binary(OPS[name])
    for op in OPS.values():
        if op.is_view and op.name != "detach":  # which is a method of interpreters
            op.short = short_way(op, stored)
    for name, function in (("relu", _relu), ("sigmoid", _sigmoid)):
        OPS[name].loops = Loops(function, 1, {dtype: dtype for dtype in _FLOATS}, True)


def _relu(x: Any) -> Any:
    return np.maximum(x, x.dtype.type(0))


def _sigmoid(x: Any) -> Any:
    one = x.dtype.type(1)
    return one / (one + np.exp(-x))


def _binary(op: Any) -> Callable[..., Any]:
    """``add(x, y)`` and the like without keywords: the op itself."""

    def short(*args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != 2 or not isinstance(args[0], Tensor) or args[0]._type.dtype is dtypes.bool_:
            return NotImplemented
        other = args[1]
        if type(other) is not Tensor and type(other) is not float and type(other) is not int:
            return NotImplemented
        return op(*args)

    return short


def _array(x: Any) -> Any:
    """The array of a plain tensor of floats whose use records nothing, else None."""
    return stored(x) if isinstance(x, Tensor) and x._type.dtype in _FLOATS else None


def stored(x: Any) -> Any:
    """The array of a plain tensor whose use records nothing, else None."""
    if not isinstance(x, Tensor):
        return None
    if x._base is not None and x._view_version != x._base._view_version:
        return None
    if (x._requires_grad or x._node is not None) and dispatch.is_grad_enabled():
        return None
    return x._array


def _compute(function: Callable[..., Any], *args: Any) -> Tensor:
    token = quieten()
    try:
        return Tensor._from_array(np.asarray(function(*args)))
    finally:
        restore(token)


def _matmul(*args: Any, **kwargs: Any) -> Any:
    if kwargs or len(args) != 2:
        return NotImplemented
    x, y = _array(args[0]), _array(args[1])
    if x is None or y is None or x.dtype is not y.dtype or x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[0]:
        return NotImplemented
    return _compute(np.matmul, x, y)


def _clone(*args: Any, **kwargs: Any) -> Any:
    x = stored(args[0]) if len(args) == 1 and not kwargs else None
    if x is None or x.size >= LARGE_ELEMENTWISE or not x.flags.c_contiguous:
        return NotImplemented
    made = allocator.empty(x.shape, x.dtype)
    np.copyto(made, x)
    return Tensor._of(made, args[0]._type)


def _cat(*args: Any, **kwargs: Any) -> Any:
    if not 0 < len(args) <= 2 - len(kwargs) or kwargs.keys() - {"dim"} or type(args[0]) not in (list, tuple):
        return NotImplemented
    tensors, dim = args[0], args[1] if len(args) == 2 else kwargs.get("dim", 0)
    arrays = [stored(x) for x in tensors]
    first = arrays[0] if arrays else None
    if first is None or type(dim) is not int or not -first.ndim <= dim < first.ndim:
        return NotImplemented
    axis, total = dim % first.ndim, 0
    before, behind = first.shape[:axis], first.shape[axis + 1 :]
    for x in arrays:
        if x is None or x.dtype is not first.dtype or x.ndim != first.ndim or not x.size:
            return NotImplemented
        if x.shape[:axis] != before or x.shape[axis + 1 :] != behind:
            return NotImplemented
        total += x.shape[axis]
    shape = (*before, total, *behind)
    if math.prod(shape) >= LARGE_ELEMENTWISE:
        return NotImplemented
    return Tensor._from_array(np.concatenate(arrays, axis, allocator.empty(shape, first.dtype)))


def _where(*args: Any, **kwargs: Any) -> Any:
    condition = stored(args[0]) if len(args) == 3 and not kwargs else None
    like = next((x for x in args[1:] if isinstance(x, Tensor)), None)
    if condition is None or condition.dtype != np.bool_ or condition.size >= LARGE:
        return NotImplemented
    if like is None or like._type.dtype not in DTYPES:
        return NotImplemented
    values: list[Any] = [stored(x) if isinstance(x, Tensor) else operand_of(x, like._type) for x in args[1:]]
    if any(x is None or x.size >= LARGE or x.dtype != values[0].dtype for x in values):
        return NotImplemented
    if spread(condition.shape, *(x.shape for x in values)) is None:
        return NotImplemented
    return Tensor._from_array(np.where(condition, *values))


def _axes(rank: int, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[int, ...] | None:
    """The axes of a reduction that drops them, or None for unusual arguments."""
    if (keywords and (len(keywords) > 1 or "dim" not in keywords or arguments)) or len(arguments) > 1:
        return None
    dim = arguments[0] if arguments else keywords.get("dim")
    if dim is None:
        return tuple(range(rank))
    if type(dim) is not int or not -rank <= dim < rank:
        return None
    return (dim % rank,)


def _add_up(x: Any, axes: tuple[int, ...]) -> Any:
    return np.add.reduce(x, axis=axes, dtype=x.dtype)


def _average(x: Any, axes: tuple[int, ...]) -> Any:
    return np.add.reduce(x, axis=axes, dtype=x.dtype) / x.dtype.type(math.prod([x.shape[a] for a in axes]))


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def short(*args: Any, **kwargs: Any) -> Any:
        x = _array(args[0]) if args else None
        axes = None if x is None or x.size >= LARGE else _axes(x.ndim, args[1:], kwargs)
        return NotImplemented if axes is None else _compute(function, x, axes)

    return short


_sum, _mean = _reduction(_add_up), _reduction(_average)


def _reshape(*args: Any, **kwargs: Any) -> Any:
    x = stored(args[0]) if args and not kwargs else None
    if x is None or not x.flags.c_contiguous:
        return NotImplemented
    sizes: Any = args[1] if len(args) == 2 and isinstance(args[1], tuple) else args[1:]
    known = 1
    for size in sizes:
        if type(size) is not int or size < -1:
            return NotImplemented
        known *= size
    if known < 0 and x.size and x.size % known == 0 and sizes.count(-1) == 1:
        sizes = tuple([x.size // -known if size == -1 else size for size in sizes])
    elif known != x.size or -1 in sizes:
        return NotImplemented
    return Tensor._from_array(x.reshape(sizes))._as_view_of(args[0], reshape_to, {"shape": sizes})


def _getitem(*args: Any, **kwargs: Any) -> Any:
    x = stored(args[0]) if len(args) == 2 and not kwargs else None
    items = args[1] if type(args[-1]) is tuple else args[-1:]
    if x is None or len(items) > x.ndim:
        return NotImplemented
    bounds: list[tuple[int, int, int]] = []
    sizes: list[int] = []
    for item, size in zip(items, x.shape):
        if type(item) is int and -size <= item < size:
            start = item % size
            bounds.append((start, start + 1, 1))
        elif type(item) is slice and _INDICES.issuperset(map(type, (item.start, item.stop, item.step))):
            if item.step is not None and item.step <= 0:
                return NotImplemented
            start, stop, step = item.indices(size)
            bounds.append((start, max(start, stop), step))
            sizes.append(len(range(start, stop, step)))
        else:
            return NotImplemented
    bounds += [(0, size, 1) for size in x.shape[len(items) :]]
    if all(bound == (0, size, 1) for bound, size in zip(bounds, x.shape)):
        return NotImplemented
    # The ellipsis keeps a single element an array that shares the memory.
    view = Tensor._from_array(x[(*items, ...)])
    starts, stops, steps = zip(*bounds)
    view._as_view_of(args[0], slice_axes, {"starts": starts, "stops": stops, "steps": steps})
    if len(sizes) < len(items):
        view._steps += ((reshape_to, {"shape": (*sizes, *x.shape[len(items) :])}),)
    return view


_INDICES = frozenset((int, type(None)))
