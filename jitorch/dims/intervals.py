"""Interval arithmetic over integers: a range is ``(low, high)``, with minus and plus infinity for no limit."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TypeAlias

Range: TypeAlias = tuple[float, float]


def times(a: Range, b: Range) -> Range:
    """Where ``x * y`` lies."""
    return _corners(_times, a, b)


def floordiv(a: Range, b: Range) -> Range:
    """Where ``x // y`` lies for y other than 0."""
    if b[0] >= 1:
        return _corners(_over, a, b)
    if b[1] <= -1:
        return _corners(_over, (-a[1], -a[0]), (-b[1], -b[0]))
    reach = max(abs(a[0]), abs(a[1]))
    return -reach, reach


def mod(a: Range, b: Range) -> Range:
    """Where ``x % y`` lies for y other than 0: between 0 and y, without y."""
    low, high = min(b[0] + 1, 0), max(b[1] - 1, 0)
    return low, min(high, a[1]) if low == 0 and a[0] >= 0 else high


def _corners(fn: Callable[[float, float], float], a: Range, b: Range) -> Range:
    values = [fn(x, y) for x in a for y in b]
    return min(values), max(values)


def _times(x: float, y: float) -> float:
    return 0 if x == 0 or y == 0 else x * y


def _over(x: float, y: float) -> float:
    """``x // y`` for ``y >= 1``."""
    if abs(x) == inf:
        return x
    return x // y if y != inf else 0 if x >= 0 else -1
