"""Answers from the sizes at hand, and the guards that keep them true."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from contextvars import Token
from dataclasses import dataclass
from typing import Any, Self

from jitorch.dims.polynomial import ORACLE, Atom, Dim, Oracle, install, terms_of
from jitorch.dims.walk import evaluate, is_known, symbols
from jitorch.errors import CompilerBug, ShapeError

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

    Of a size that the program computes it is assumed that it is large, and equal to what it must be equal to;
    ``assume``, if there is one, is told to have the program check that.
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
        sizes: dict[str, int] = {}
        for unknown in symbols(left, right):
            hint = _LARGE if unknown.computed else self.hints.get(unknown.name, unknown.hint)
            if hint is None:
                raise CompilerBug(f"cannot decide {left} {relation} {right}: the symbol {unknown} has no hint")
            sizes[unknown.name] = hint
        guard = Guard(relation, left, right)
        is_assumed = not is_known(left) or not is_known(right)
        truth = _assumed(guard, sizes) if is_assumed else guard.holds(sizes)
        if not truth:
            opposite = {"==": "!=", "!=": "==", "<": "<=", "<=": "<"}[relation]
            guard = Guard(opposite, *((left, right) if opposite in ("==", "!=") else (right, left)))
        if not is_assumed:
            self._guards[guard] = None
        elif self.assume is not None:
            self.assume(guard)
        return truth


Answer = tuple[str, Dim, Dim, bool]
"""A question about sizes, and how it was answered."""


class Noted:
    """``with Noted() as noted:`` passes questions on to who answers them now, and keeps the ``answers``."""

    def __init__(self) -> None:
        self._outer = ORACLE.get()
        self._token: Token[Oracle | None] | None = None
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        if self._outer is not None:
            self._token = ORACLE.set(self)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._token is not None:
            ORACLE.reset(self._token)

    def answer(self, relation: str, left: Dim, right: Dim) -> bool:
        if self._outer is None:
            raise CompilerBug("nobody answers questions about sizes")
        truth = self._outer.answer(relation, left, right)
        self.answers.append((relation, left, right, truth))
        return truth


def answered_again(answers: Iterable[Answer]) -> bool:
    """Ask once more, so that the guards are recorded here; False if an answer is another one."""
    oracle = ORACLE.get()
    return all(
        oracle is None or oracle.answer(relation, left, right) is truth for relation, left, right, truth in answers
    )


def hints_of(*sizes: Dim) -> tuple[int | None, ...] | None:
    """What answers depend on besides the structure of ``sizes``: their symbols' hints; None if nobody answers."""
    if ORACLE.get() is None:
        return None
    return tuple([unknown.hint for unknown in symbols(*sizes)])


_LARGE, _SMALL = 1_000_003, 2
"""What a size that the program computes is taken for in comparisons, and one of an argument that is gone."""


def _assumed(guard: Guard, sizes: Mapping[str, int]) -> bool:
    if guard.relation not in ("==", "!="):
        return guard.holds(sizes)
    sides = guard.left, guard.right
    differ = any(type(d) is int and d in (0, 1) for d in sides) and not any(map(_is_remainder, sides))
    return differ == (guard.relation == "!=")


def _is_remainder(size: Dim) -> bool:
    match terms_of(size):
        case [((Atom("mod"),), 1)]:
            return True
    return False


class _NoFacts:
    """Answers where no `Facts` are the current ones: what a trace assumed of computed sizes is assumed later, too."""

    def answer(self, relation: str, left: Dim, right: Dim) -> bool:
        if not is_known(left) or not is_known(right):
            others = {s.name: _SMALL for s in symbols(left, right) if s.hint is None}
            return Facts(others).answer(relation, left, right)
        raise ShapeError(
            f"whether {left} {relation} {right} depends on the size of a symbol",
            hint="give the symbol a range that decides it, or ask while a program is being recorded",
        )


install(_NoFacts())
