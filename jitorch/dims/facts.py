"""Answers from the sizes at hand, and the guards that keep them true."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from contextvars import Token
from dataclasses import dataclass
from typing import Any, Self

from jitorch.dims.polynomial import ORACLE, Atom, Dim, Oracle, terms_of
from jitorch.dims.walk import evaluate, symbols
from jitorch.errors import CompilerBug

_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True, slots=True)
class Guard:
    """``left relation right``, with relation one of ``== != < <=``: what a compiled program relies on."""

    relation: str
    left: Dim
    right: Dim

    def __str__(self) -> str:
        return f"{self.left} {self.relation} {self.right}"

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether it is true for the size of each symbol, given by name."""
        return _RELATIONS[self.relation](evaluate(self.left, sizes), evaluate(self.right, sizes))


class Facts:
    """Answers what ranges leave open, by the sizes at hand, and keeps each answer as a `Guard`.

    ``with Facts() as facts:`` makes it the current one of this thread or task.  ``hints`` gives sizes
    by name; a symbol that it lacks answers with its own hint.  ``facts.guards`` are in order of asking.

    A symbol without a hint is a size that the program computes.  What it is compared with is answered as it most often
    is, and ``assume``, if there is one, is told to have the program check that.
    """

    def __init__(self, hints: Mapping[str, int] | None = None, assume: Callable[[Guard], None] | None = None):
        self.hints, self.assume = dict(hints or {}), assume
        self._guards: dict[Guard, None] = {}
        self._tokens: list[Token[Oracle | None]] = []

    @property
    def guards(self) -> tuple[Guard, ...]:
        return tuple(self._guards)

    def __enter__(self) -> Self:
        self._tokens.append(ORACLE.set(self))
        return self

    def __exit__(self, *exception: object) -> None:
        ORACLE.reset(self._tokens.pop())

    def answer(self, relation: str, left: Dim, right: Dim) -> bool:
        """Decide by the hints and record the relation, or its opposite, that holds for them."""
        sizes = {s.name: self.hints.get(s.name, s.hint) for s in symbols(left, right)}
        unknown = [name for name, size in sizes.items() if size is None]
        if unknown and self.assume is None:
            raise CompilerBug(f"cannot decide {left} {relation} {right}: the symbol {unknown[0]} has no hint")
        guard = Guard(relation, left, right)
        truth = _likely(guard, sizes) if unknown else guard.holds(sizes)  # type: ignore[arg-type]
        if not truth:
            opposite = {"==": "!=", "!=": "==", "<": "<=", "<=": "<"}[relation]
            guard = Guard(opposite, *((left, right) if opposite in ("==", "!=") else (right, left)))
        if unknown and self.assume is not None:
            self.assume(guard)
        else:
            self._guards[guard] = None
        return truth


_MANY = 1_000_003
"""A size that the program computes, as long as nobody knows it."""


def _is_remainder(size: Dim) -> bool:
    match terms_of(size):
        case [((Atom("mod"),), 1)]:
            return True
    return False


def _likely(guard: Guard, sizes: Mapping[str, int | None]) -> bool:
    """Whether ``guard`` holds where some sizes are unknown: they are large, and equal to what they must be equal to."""
    if guard.relation in ("==", "!="):
        sides = guard.left, guard.right
        differ = any(type(d) is int and d in (0, 1) for d in sides) and not any(map(_is_remainder, sides))
        return differ == (guard.relation == "!=")
    return guard.holds({name: _MANY if size is None else size for name, size in sizes.items()})
