"""Squares: a local buffer of as many vectors as each has lanes, read along its columns, is transposed in registers.

Two kinds of shuffle do it, both of two vectors and both one instruction nearly everywhere.  Inside of 16 bytes the
vectors are interleaved (x86 ``unpck``, Arm ``zip``), which transposes squares as wide as 16 bytes; where a vector has
several of those, units of 16 bytes are moved between vectors (x86 ``vperm2f128``, ``vshuff64x2``).
"""

from __future__ import annotations

from collections.abc import Sequence

from jitorch.backends.cpu.text import Function, vector

_UNIT = 16
"""Bytes inside of which processors shuffle at their fastest, and all that some can shuffle at all."""


def is_column(lanes: int, stride: int, number: int, size: int | None) -> bool:
    """Whether ``lanes`` elements, ``stride`` apart and from the ``number``-th of a buffer on, are a square's column."""
    is_power = lanes > 1 and lanes & (lanes - 1) == 0
    return is_power and stride == lanes and size == lanes * lanes and 0 <= number < lanes


def column(function: Function, pointer: str, element: str, itemsize: int, lanes: int, number: int) -> str:
    """Column ``number`` of the square at ``pointer``; the columns are computed once for all of them."""
    found = function.columns.get(pointer)
    if found is None:
        found = function.columns[pointer] = _columns(function, pointer, element, itemsize, lanes)
    return found[number]


def _columns(function: Function, pointer: str, element: str, itemsize: int, lanes: int) -> list[str]:
    type, integers = vector(element, lanes), vector(f"i{8 * itemsize}", lanes)
    rows: list[str] = []
    for row in range(lanes):
        place = function.op(f"getelementptr inbounds {element}, ptr {pointer}, i64 {row * lanes}") if row else pointer
        text = function.op(f"load {type}, ptr {place}, align {itemsize}")
        # Not every processor has vectors of half precision.
        rows.append(function.op(f"bitcast {type} {text} to {integers}") if element == "half" else text)
    found = transposed(function, rows, integers if element == "half" else type, min(lanes, _UNIT // itemsize))
    return [function.op(f"bitcast {integers} {text} to {type}") for text in found] if element == "half" else found


def transposed(function: Function, rows: Sequence[str], type: str, unit: int) -> list[str]:
    """The columns of ``rows``, vectors of ``type``, of which ``unit`` elements are moved about together at most."""
    lanes = len(rows)
    groups = [_interleaved(function, rows[first : first + unit], type, lanes) for first in range(0, lanes, unit)]
    # Unit ``u`` of ``groups[g][c]`` is what rows ``g * unit`` and on have of column ``u * unit + c``.
    columns: list[str] = [""] * lanes
    for c in range(unit):
        columns[c::unit] = _exchanged(function, [group[c] for group in groups], type, lanes, unit)
    return columns


def _interleaved(function: Function, rows: Sequence[str], type: str, lanes: int) -> list[str]:
    """As many rows as a unit has elements, each unit of theirs transposed."""
    unit, current = len(rows), list(rows)
    low, high = (
        [first + i // 2 + start + (lanes if i % 2 else 0) for first in range(0, lanes, unit) for i in range(unit)]
        for start in (0, unit // 2)
    )
    for _ in range(unit.bit_length() - 1):
        pairs = list(zip(current[: unit // 2], current[unit // 2 :], strict=True))
        current = [shuffled(function, type, a, b, places) for a, b in pairs for places in (low, high)]
    return current


def _exchanged(function: Function, rows: Sequence[str], type: str, lanes: int, unit: int) -> list[str]:
    """As many rows as a vector has units, as a square of units transposed."""
    current = list(rows)
    even, odd = ([u * unit + i for u in range(start, 2 * len(rows), 2) for i in range(unit)] for start in (0, 1))
    for _ in range(len(rows).bit_length() - 1):
        pairs = list(zip(current[::2], current[1::2], strict=True))
        current = [shuffled(function, type, a, b, places) for places in (even, odd) for a, b in pairs]
    return current


def shuffled(function: Function, type: str, a: str, b: str, places: Sequence[int]) -> str:
    """The elements of ``a``, then those of ``b``, at ``places``."""
    mask = ", ".join(f"i32 {place}" for place in places)
    return function.op(f"shufflevector {type} {a}, {type} {b}, <{len(places)} x i32> <{mask}>")
