"""Jitted against plain Python: the same results and the same writes, call after call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.frontend.python import cases
from tests.frontend.python.toy import Jitted, normal

_ERRORS = (ValueError, NameError, KeyError, TypeError, IndexError, AttributeError, AssertionError, ZeroDivisionError)


def play(case: Any, jit: Any) -> list[Any]:
    """What every call gives, and what it has changed."""
    function, calls, state = case(jit)
    log: list[Any] = []
    for arguments in calls:
        try:
            log.append(normal(function(*arguments)))
        except _ERRORS as error:
            log.append(f"{type(error).__name__}: {error}")
        log.append(None if state is None else normal(state()))
    return log


def compare(case: Any) -> list[Jitted]:
    made: list[Jitted] = []

    def jit(function: Any) -> Jitted:
        made.append(Jitted(function))
        return made[-1]

    plain, jitted = play(case, lambda function: function), play(case, jit)
    assert jitted == plain
    return made


@pytest.mark.parametrize(("case", "traces"), cases.STAGED, ids=[c.__name__ for c, _ in cases.STAGED])
def test_staged(case: Any, traces: int | None) -> None:
    made = compare(case)
    assert [j.refusals for j in made] == [[] for _ in made]
    if traces is not None:
        assert sum(j.traces for j in made) == traces, [str(f) for j in made for found in j.failures for f in found]


@pytest.mark.parametrize(("case", "why"), cases.REFUSED, ids=[c.__name__ for c, _ in cases.REFUSED])
def test_refused(case: Any, why: str) -> None:
    (made,) = compare(case)
    assert made.refusals
    assert set(made.refusals) == {why}
