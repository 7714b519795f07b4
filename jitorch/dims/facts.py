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

    demand = answer


class Known:
    """``with Known(facts):`` answers by guards that were recorded before, and assumes what they say.

    For work on what was recorded under them: its outcome is theirs, whatever was recorded in the meantime.
    A guard says what sign the difference of its sides can have; a question is answered where that decides it.
    """

    def __init__(self, facts: Iterable[Guard]):
        self._signs: dict[Dim, frozenset[int]] = {}
        self._tokens: list[Token[Oracle | None]] = []
        for fact in facts:
            for difference, signs in _both_ways(fact.relation, fact.left, fact.right):
                self._signs[difference] = self._signs.get(difference, _ANY) & signs

    def __enter__(self) -> Self:
        self._tokens.append(ORACLE.set(self))
        return self

    def __exit__(self, *exception: object) -> None:
        ORACLE.reset(self._tokens.pop())

    def answer(self, relation: str, left: Dim, right: Dim) -> bool:
        found = self._found(relation, left, right)
        return _NOBODY.answer(relation, left, right) if found is None else found

    def demand(self, relation: str, left: Dim, right: Dim) -> bool:
        return self._found(relation, left, right) is not False

    def _found(self, relation: str, left: Dim, right: Dim) -> bool | None:
        known = self._signs.get(left - right, _ANY)
        if known <= _SIGNS[relation]:
            return True
        return None if known & _SIGNS[relation] else False


_ANY = frozenset({-1, 0, 1})
_SIGNS = {"==": frozenset({0}), "!=": frozenset({-1, 1}), "<": frozenset({-1}), "<=": frozenset({-1, 0})}


def _both_ways(relation: str, left: Dim, right: Dim) -> tuple[tuple[Dim, frozenset[int]], ...]:
    """The signs of ``left - right`` and of ``right - left``."""
    signs = _SIGNS[relation]
    return (left - right, signs), (right - left, frozenset(-sign for sign in signs))


Answer = tuple[str, str, Dim, Dim, bool]
"""How a question about sizes was asked, the question, and what the answer was."""


class Noted:
    """``with Noted() as noted:`` passes questions on to who answers them now, and keeps the ``answers``."""

    def __init__(self) -> None:
        self._outer: Oracle = ORACLE.get() or _NOBODY
        self._token: Token[Oracle | None] | None = None
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        self._token = ORACLE.set(self)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._token is not None:
            ORACLE.reset(self._token)

    def answer(self, relation: str, left: Dim, right: Dim) -> bool:
        return self._asked("answer", relation, left, right)

    def demand(self, relation: str, left: Dim, right: Dim) -> bool:
        return self._asked("demand", relation, left, right)

    def _asked(self, how: str, relation: str, left: Dim, right: Dim) -> bool:
        truth = getattr(self._outer, how)(relation, left, right)
        self.answers.append((how, relation, left, right, truth))
        return truth


def answered_again(answers: Iterable[Answer]) -> bool:
    """Ask once more, so that the guards are recorded here; False if an answer is another one."""
    oracle = ORACLE.get() or _NOBODY
    return all(getattr(oracle, how)(relation, left, right) is truth for how, relation, left, right, truth in answers)


def hints_of(*sizes: Dim) -> tuple[int | None, ...]:
    """What answers depend on besides the structure of ``sizes``: their symbols' hints."""
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

    def demand(self, relation: str, left: Dim, right: Dim) -> bool:
        return True


_NOBODY = _NoFacts()
install(_NOBODY)
