"""Stretches: the elements that a list has got from a loop of which only the program knows how often it turns.

A list of the trace may hold a `Stretch` in the place of as many elements as the loop had turns: the rows of one
tensor.  What asks for the elements one by one is refused; what the whole list is used for works on that tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(eq=False, frozen=True)
class Stretch:
    """The rows of ``stacked``: tensors, or plain numbers.  ``length`` is how many, as a number of the trace."""

    stacked: Any
    length: Any
    is_number: bool


def stretches(elements: Sequence[Any]) -> bool:
    """Whether one of the elements stands for many."""
    return any(type(x) is Stretch for x in elements)
