"""Indexing: ``x[key]`` and ``x[key] = value`` with NumPy's and PyTorch's keys.

A key is split into a basic part (integers, slices, ``None``, ``...``), which is a view, and index
arrays, which read or write single positions.  Arrays that index several axes become one index over
those axes flattened together, so `take` and `put` serve them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import ShapeError, TensorIndexError, UnsupportedError
from jitorch.ir.literal import Literal
from jitorch.ops.arguments import axis_of as axis_of
from jitorch.ops.create import literal
from jitorch.ops.gather import put, take
from jitorch.ops.math import where
from jitorch.ops.normalize import PYTHON_NUMBERS, broadcast_shapes
from jitorch.ops.positions import positions_of
from jitorch.ops.registry import function
from jitorch.ops.structure import broadcast_to, cast, reshape_to, slice_axes, transpose_axes

Tensor = Any


def _is_integer(key: Any) -> bool:
    return isinstance(key, (int, np.integer)) and not isinstance(key, (bool, np.bool_))


def _is_array(key: Any) -> bool:
    return isinstance(key, (list, range, np.ndarray)) or hasattr(key, "requires_grad")


def _is_bool(key: Any) -> bool:
    """A bool, or a mask without axes: it indexes no axis."""
    return isinstance(key, (bool, np.bool_)) or (
        hasattr(key, "requires_grad") and key.dtype is dtypes.bool_ and not key.ndim
    )


def _axes_used(item: Any) -> int:
    """How many axes an entry of a key indexes."""
    if item is None or item is Ellipsis or _is_bool(item):
        return 0
    return item.ndim if hasattr(item, "requires_grad") and item.dtype is dtypes.bool_ else 1


def _as_index(key: Any) -> Any:
    """An index array as a tensor."""
    if hasattr(key, "requires_grad"):
        return key
    array = np.asarray(key)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)
    return literal(value=Literal(array))


def _expand_key(x: Tensor, key: Any) -> list[Any]:
    """The key as a list with one entry an axis (and the Nones), the ellipsis replaced by slices."""
    items = list(key) if isinstance(key, tuple) else [key]
    items = [_as_index(i) if _is_array(i) else i for i in items]
    used = sum(map(_axes_used, items))
    if used > x.ndim:
        raise TensorIndexError("too many indices", expected=f"at most {x.ndim} for {x.type}", actual=used)
    places = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(places) > 1:
        raise TensorIndexError("an index can hold only one ellipsis")
    at = places[0] if places else len(items)
    return [*items[:at], *[slice(None)] * (x.ndim - used), *items[at + 1 :]]


def slice_bounds(key: slice, size: Any) -> tuple[Any, Any, int]:
    """Start, stop and step of ``key`` within an axis of ``size``, as Python clips them."""
    step = 1 if key.step is None else int(key.step)
    if step <= 0:
        raise UnsupportedError("slices with a negative step", hint="use flip()")

    def bound(value: Any, default: Any) -> Any:
        if value is None:
            return default
        value = value if isinstance(value, dims.SymDim) else int(value)
        is_negative = dims.decide("<", value, 0)
        if is_negative is not None and not (dims.is_known(value) and dims.is_known(size)):
            # Nobody knows which is less: the program finds out.
            return dims.dim_max(value + size, 0) if is_negative else dims.dim_min(value, size)
        if dims.less(value, 0):
            value = value + size
            return 0 if dims.less(value, 0) else value
        return size if dims.less(size, value) else value

    start, stop = bound(key.start, 0), bound(key.stop, size)
    if not (dims.is_known(start) and dims.is_known(stop)):
        return start, dims.dim_max(start, stop), step
    return start, (start if dims.less(stop, start) else stop), step


def _split(x: Tensor, key: Any) -> tuple[Tensor, list[tuple[int, Tensor]]]:
    """Apply the basic part of ``key``; returns the view and the index arrays with their axes in it."""
    starts: list[Any] = []
    stops: list[Any] = []
    steps: list[int] = []
    shape: list[Any] = []
    arrays: list[tuple[int, Tensor]] = []
    axis = 0
    for item in _expand_key(x, key):
        if item is None:
            shape.append(1)
            continue
        if _is_bool(item):
            # All of ``x`` under a new axis of size 1, or none of it.
            count = int(bool(item._data("a bool as an index") if hasattr(item, "requires_grad") else item))
            arrays.append((len(shape), _as_index(np.zeros(count, np.int64))))
            shape.append(1)
            continue
        size = x.shape[axis]
        if isinstance(item, slice):
            start, stop, step = slice_bounds(item, size)
            shape.append(-1)
        elif _is_integer(item) or (not hasattr(item, "requires_grad") and hasattr(item, "__index__")):
            position = int(item)
            if not (dims.holds("<=", -size, position) and dims.holds("<", position, size)):
                raise TensorIndexError(
                    f"index out of range for axis {axis}", expected=f"{-size} to {size - 1}", actual=position
                )
            start = position + size if position < 0 else position
            stop, step = start + 1, 1
        elif hasattr(item, "requires_grad"):
            count = _axes_used(item)
            arrays.append((len(shape), item))
            if item.dtype is dtypes.bool_ and not all(map(dims.equal, item.shape, x.shape[axis : axis + count])):
                raise TensorIndexError(
                    "a mask has the sizes of the axes that it indexes", expected=x.shape[axis : axis + count],
                    actual=item.type,
                )  # fmt: skip
            for extra in range(count):
                starts.append(0)
                stops.append(x.shape[axis + extra])
                steps.append(1)
                shape.append(x.shape[axis + extra])
            axis += count
            continue
        else:
            raise TensorIndexError(
                "not an index", expected="int, slice, None, ..., a list or a tensor", actual=type(item).__name__
            )
        starts.append(start)
        stops.append(stop)
        steps.append(step)
        axis += 1
    view = x
    if any(a != 0 or b != d or s != 1 for a, b, s, d in zip(starts, stops, steps, x.shape)):
        view = slice_axes(x, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))
    sizes = iter(_kept_sizes(x, key, view))
    final = tuple(next(sizes) if isinstance(d, int) and d == -1 else d for d in shape)
    return (view if tuple(view.shape) == final else reshape_to(view, shape=final)), arrays


def _kept_sizes(x: Tensor, key: Any, view: Tensor) -> list[Any]:
    """The sizes, in ``view``, of the axes that a slice indexes."""
    sizes: list[Any] = []
    axis = 0
    for item in _expand_key(x, key):
        if isinstance(item, slice):
            sizes.append(view.shape[axis])
        axis += _axes_used(item)
    return sizes


def _resolve_masks(view: Tensor, arrays: Sequence[tuple[int, Tensor]]) -> tuple[Tensor, list[tuple[int, Tensor]]]:
    """Bool masks as the positions of their true elements, in ``view`` with the axes of each as one."""
    result: list[tuple[int, Tensor]] = []
    gone = 0
    for axis, index in arrays:
        axis -= gone
        if index.dtype.category > dtypes.Category.INT:
            raise TensorIndexError("tensors as indices hold integers or bools", actual=index.type)
        if index.dtype is not dtypes.bool_:
            integer = index if index.dtype in (dtypes.int64, dtypes.int32) else cast(index, dtype=dtypes.int64)
            result.append((axis, integer))
            continue
        result.append((axis, positions_of(index, "a bool mask as an index")))
        if index.ndim > 1:
            merged = dims.prod(view.shape[axis : axis + index.ndim])
            view = reshape_to(view, shape=(*view.shape[:axis], merged, *view.shape[axis + index.ndim :]))
            gone += index.ndim - 1
    return view, result


def _flatten_indexed(view: Tensor, arrays: list[tuple[int, Tensor]]) -> tuple[Tensor, Tensor, int, tuple[int, ...]]:
    """Bring the indexed axes together and flatten them.

    Returns the rearranged tensor, one index into its flattened axis, that axis, and the permutation
    applied first.  Adjacent indexed axes stay where they are; others move to the front, as in NumPy.
    """
    axes = [axis for axis, _ in arrays]
    shape = broadcast_shapes("index", [tuple(i.shape) for _, i in arrays])
    adjacent = axes == list(range(axes[0], axes[0] + len(axes)))
    others = [i for i in range(view.ndim) if i not in axes]
    front = others[: axes[0]] if adjacent else []
    perm = (*front, *axes, *(i for i in others if i not in front))
    moved = view if perm == tuple(range(view.ndim)) else transpose_axes(view, perm=perm)
    at = len(front)
    sizes = [view.shape[a] for a in axes]
    flat: Any = None
    for (_, index), size in zip(arrays, sizes):
        if len(arrays) > 1:
            _check_constant_range(index, size)
            index = index % size
        index = index if tuple(index.shape) == shape else broadcast_to(index, shape=shape)
        flat = index if flat is None else flat * size + index
    if len(axes) > 1:
        moved = reshape_to(moved, shape=(*moved.shape[:at], dims.prod(sizes), *moved.shape[at + len(axes) :]))
    return moved, flat, at, perm


def _check_constant_range(index: Tensor, size: Any) -> None:
    """An eager index over several axes is checked here: flattened, it could be in range by accident."""
    array = index._array
    if array is None or not isinstance(size, int) or not array.size:
        return
    low, high = int(array.min()), int(array.max())
    if low < -size or high >= size:
        raise TensorIndexError(
            "index out of range", expected=f"{-size} to {size - 1}", actual=low if low < -size else high
        )


@function(places=())
def getitem(x: Tensor, key: Any) -> Tensor:
    """``x[key]``."""
    view, arrays = _split(x, key)
    if not arrays:
        # x[:] is another tensor than x, as for every other key.
        return reshape_to(x, shape=tuple(x.shape)) if view is x else view
    moved, flat, axis, _ = _flatten_indexed(*_resolve_masks(view, arrays))
    return take(moved, flat, axis=axis)


@function(places=())
def setitem(x: Tensor, key: Any, value: Any) -> None:
    """``x[key] = value``."""
    view, arrays = _split(x, key)
    if not arrays:
        view._replace(fit(value, view))
        return
    if len(arrays) == 1 and _is_filling(view, *arrays[0], value):
        _fill(view, *arrays[0], value)
        return
    view, arrays = _resolve_masks(view, arrays)
    moved, flat, axis, _ = _flatten_indexed(view, arrays)
    part = (*moved.shape[:axis], *flat.shape, *moved.shape[axis + 1 :])
    new = put(moved, flat, fit_shape(value, view.dtype, part), axis=axis, accumulate=False)
    moved_back(view, arrays)._replace(reshape_to(new, shape=tuple(moved_back(view, arrays).shape)))


def _is_filling(view: Tensor, axis: int, index: Tensor, value: Any) -> bool:
    """Whether each true element of a mask gets the same value, however many there are."""
    rank = value.ndim if hasattr(value, "ndim") else 0 if isinstance(value, PYTHON_NUMBERS) else view.ndim
    return index.dtype is dtypes.bool_ and rank <= view.ndim - axis - index.ndim


def _fill(view: Tensor, axis: int, mask: Tensor, value: Any) -> None:
    behind = tuple(view.shape[axis + mask.ndim :])
    new = fit_shape(value, view.dtype, behind)
    mask = reshape_to(mask, shape=(*mask.shape, *(1 for _ in behind))) if behind else mask
    view._replace(fit(where(mask, new, view), view))


def moved_back(view: Tensor, arrays: list[tuple[int, Tensor]]) -> Tensor:
    """The view of ``view`` with its axes in the order `_flatten_indexed` puts them."""
    axes = [axis for axis, _ in arrays]
    adjacent = axes == list(range(axes[0], axes[0] + len(axes)))
    others = [i for i in range(view.ndim) if i not in axes]
    front = others[: axes[0]] if adjacent else []
    perm = (*front, *axes, *(i for i in others if i not in front))
    return view if perm == tuple(range(view.ndim)) else transpose_axes(view, perm=perm)


def fit(value: Any, target: Tensor) -> Tensor:
    """``value`` cast and broadcast to the type of ``target``."""
    return fit_shape(value, target.dtype, tuple(target.shape))


def fit_shape(value: Any, dtype: dtypes.DType, shape: tuple[Any, ...]) -> Tensor:
    if isinstance(value, PYTHON_NUMBERS):
        value = literal(value=Literal(np.asarray(value).astype(dtype.numpy)))
    elif not hasattr(value, "type"):
        value = literal(value=Literal(np.asarray(value)))
    value = value if value.type.dtype is dtype and hasattr(value, "ndim") else cast(value, dtype=dtype)
    while value.ndim > len(shape) and value.shape[0] == 1:
        value = reshape_to(value, shape=tuple(value.shape[1:]))
    if tuple(value.shape) == shape:
        return value
    reached = broadcast_shapes("assignment", [tuple(value.shape), shape])
    if len(reached) != len(shape) or not all(map(dims.equal, reached, shape)):
        raise ShapeError("the value does not fit what it is assigned to", expected=shape, actual=value.type)
    return broadcast_to(value, shape=shape)


def put_at(x: Tensor, key: Any, value: Any, accumulate: bool) -> Tensor:
    """A new tensor: ``x`` with what ``key`` (it holds index arrays) names replaced, or increased, by ``value``."""
    shown, arrays = _split(x, key)
    view, arrays = _resolve_masks(shown, arrays)
    moved, flat, axis, perm = _flatten_indexed(view, arrays)
    part = (*moved.shape[:axis], *flat.shape, *moved.shape[axis + 1 :])
    new = put(moved, flat, fit_shape(value, x.dtype, part), axis=axis, accumulate=accumulate)
    new = reshape_to(new, shape=tuple(view.shape[p] for p in perm))
    back = transpose_axes(new, perm=tuple(perm.index(i) for i in range(len(perm))))
    return back if view is shown else reshape_to(back, shape=tuple(shown.shape))
