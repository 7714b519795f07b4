"""Sizes given as one number for all axes, or one for each."""

from __future__ import annotations

from collections.abc import Sequence

from jitorch.errors import ValueRangeError


def repeated(value: int | Sequence[int], axes: int, name: str) -> tuple[int, ...]:
    """``value`` for each of ``axes`` axes; ``name`` is for the error."""
    if isinstance(value, int):
        return (value,) * axes
    sizes = tuple(value)
    if len(sizes) != axes:
        raise ValueRangeError(f"{name} has a wrong length", expected=f"one number or {axes}", actual=sizes)
    return sizes
