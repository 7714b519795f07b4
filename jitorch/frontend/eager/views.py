"""Views of stored tensors, made again: where a view lies in its base is found out once.

An op call checks its arguments, computes a type and asks NumPy.  Of a view whose base has sizes and strides that were
met before, the result of all that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jitorch.ir.op import Op
from jitorch.ir.types import TensorType
from jitorch.ops import dispatch
from jitorch.tensor import Step, Tensor, type_of_array

_MOST = 4096
"""Views of one op that are remembered."""

Array = np.ndarray[Any, Any]


class Place(NamedTuple):
    """Where a view lies in the memory of an array in row-major order: strides and offset are in bytes."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    type: TensorType

    @classmethod
    def of(cls, shown: Array, array: Array) -> Place | None:
        """The place of ``shown`` in ``array``; None if it is empty, or may not be written as its base may."""
        if not (shown.size and array.flags.c_contiguous and np.may_share_memory(shown, array)):
            return None
        if shown.flags.writeable != array.flags.writeable:
            return None
        offset = shown.ctypes.data - array.ctypes.data
        return cls(shown.shape, shown.strides, offset, type_of_array(shown))


def _view(base: Tensor, array: Array, place: Place, steps: tuple[Step, ...]) -> Tensor:
    shape, strides, offset, type_ = place
    view = Tensor._of(np.ndarray(shape, array.dtype, array, offset, strides), type_, base._storage)
    view._root = base if base._root is None else base._root
    view._base = base if base._base is None else base._base
    view._steps = (*base._steps, *steps) if base._steps else steps
    return view


class Views:
    """The views that ``steps`` lead to, of one tensor after another; for steps that record nothing."""

    __slots__ = ("_known", "_steps")

    def __init__(self, steps: Sequence[Step]):
        self._steps = tuple(steps)
        self._known: tuple[Any, Place | None] | None = None

    def of(self, base: Tensor) -> Tensor | None:
        """The view of ``base``, which may require grad; None where ops must make it."""
        array = base._array
        if array is None or not dispatch.is_plain():
            return None
        layout = array.shape, array.strides, array.dtype
        known = self._known
        if known is None or known[0] != layout:
            shown = array
            for op, attrs in self._steps:
                shown = op.rules["numpy"](shown, **attrs)
            # Another thread may do the same: the pair is replaced as a whole.
            known = self._known = layout, Place.of(shown, array)
        return None if known[1] is None else _view(base, array, known[1], self._steps)


def short_way(op: Op, stored: Callable[[Any], Array | None]) -> Callable[..., Any]:
    """A short way of a view op; ``stored`` gives the array of a plain tensor whose use records nothing, else None."""
    known: dict[Any, tuple[Place, tuple[Step, ...]] | None] = {}

    def short(*args: Any, **attrs: Any) -> Any:
        array = stored(args[0]) if len(args) == 1 else None
        if array is None:
            return NotImplemented
        key = array.shape, array.strides, array.dtype, *attrs.items()
        try:
            found = known[key]
        except TypeError:
            return NotImplemented  # an attribute that is no number
        except KeyError:
            found = None
            if array.flags.c_contiguous:
                return _first(args, attrs, key)
        return NotImplemented if found is None else _view(args[0], array, *found)

    def _first(args: tuple[Any, ...], attrs: dict[str, Any], key: Any) -> Any:
        """The ordinary way, whose result is remembered."""
        try:
            view = dispatch.current().apply(op, *op.bind(args, attrs))
        except (TypeError, AttributeError):
            return NotImplemented  # the ordinary way explains it
        place = Place.of(view._array, args[0]._array)
        if len(known) >= _MOST:
            known.clear()
        known[key] = None if place is None else (place, view._steps[-1:])
        return view

    return short
