"""Iterators that a trace makes: their positions are saved, put back and joined by branches and loops.

The values of a Python iterator come once.  Where both sides of a branch advance one, or one side does and what follows
goes on with it, the program would need a position that Python cannot put back: that is refused where it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jitorch.frontend.python.recorder import Refuse


class TracedIterator:
    """``source``, of which ``taken`` values were asked for; ``position`` of them by the path that is being traced.

    The position is no int where only the program will know it, or where the paths of a branch left two.  None of the
    ten nouns will do: this is state of Python.
    """

    __slots__ = ("position", "source", "taken")

    def __init__(self, source: Iterator[Any]):
        self.source = source
        self.position: Any = 0
        self.taken = 0

    def __iter__(self) -> TracedIterator:
        return self

    def __next__(self) -> Any:
        self._advance()
        return next(self.source)

    def send(self, value: Any) -> Any:
        """`generator.send`"""
        self._advance()
        return self.source.send(value)  # type: ignore[attr-defined]

    def throw(self, *error: Any) -> Any:
        """`generator.throw`"""
        self._advance()
        return self.source.throw(*error)  # type: ignore[attr-defined]

    def close(self) -> None:
        """`generator.close`"""
        self._advance()
        self.source.close()  # type: ignore[attr-defined]

    def _advance(self) -> None:
        # The end counts as a value: what a generator does on the way there is done once, too.
        if type(self.position) is not int or self.position != self.taken:
            raise Refuse(
                "iterator",
                "an iterator that a branch or loop advances on one path, or on each",
                hint="make a list of it before the branch or loop",
                places=getattr(self.position, "places", None),
            )
        self.taken += 1
        self.position = self.taken
