"""The stable order of rows, by sorting numbers that hold element and position.

NumPy's stable sorts compare element by element; its sort of integers uses vectors and is several times as fast, and of
numbers that are all different every sort is stable.  So an element of up to 32 bits becomes an integer in the same
order, with its position in the lower half of 64 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_SIGN = np.uint32(1 << 31)
_LAST = np.uint32((1 << 32) - 1)
_HALF = np.uint64(32)

Array = np.ndarray[Any, Any]


def stable_order(x: Array, axis: int, descending: bool) -> Array:
    """Positions (int64) that sort ``x`` along ``axis``: equal elements keep their order, NaN counts as greatest."""
    if x.dtype.itemsize > 4 or x.shape[axis] > _LAST:
        return _by_comparison(x, axis, descending)
    keys = _keys(np.moveaxis(x, axis, -1))
    numbers = (~keys if descending else keys).astype(np.uint64)
    numbers <<= _HALF
    numbers |= np.arange(numbers.shape[-1], dtype=np.uint64)
    numbers.sort(axis=-1)
    numbers &= np.uint64(_LAST)
    return np.moveaxis(numbers.view(np.int64), -1, axis)


def _keys(x: Array) -> Array:
    """Unsigned integers in the order of the elements; equal where those are."""
    if x.dtype.kind in "bu":
        return x.astype(np.uint32)
    if x.dtype.kind == "i":
        return x.astype(np.int32).view(np.uint32) ^ _SIGN
    numbers = x.astype(np.float32) + np.float32(0)  # of two zeros that are equal neither is negative
    bits = numbers.view(np.uint32)
    keys = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    keys[np.isnan(numbers)] = _LAST
    return keys


def _by_comparison(x: Array, axis: int, descending: bool) -> Array:
    if not descending:
        return np.argsort(x, axis, kind="stable")
    # Sorting the reversed axis and reversing the order keeps equal elements in their order.
    order = np.argsort(np.flip(x, axis), axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(order, axis)
