"""Signals: how a body ended, and what runs after it."""

from __future__ import annotations

from typing import Any

import pytest

from jitorch.frontend.python import Refuse
from jitorch.frontend.python.flow import (
    BREAK,
    CONTINUE,
    NEXT,
    RETURN,
    Left,
    Maybe,
    Mixed,
    Poison,
    Signal,
    Variables,
    kinds_of,
    only,
    value_of,
)
from jitorch.frontend.python.journal import MISSING
from tests.frontend.python.test_fork import new_trace

EITHER = Mixed("selector", frozenset((NEXT, BREAK, RETURN)), "value")


@pytest.mark.parametrize(
    ("signal", "kinds", "value"),
    [
        (None, {NEXT}, MISSING),
        (Left(BREAK), {BREAK}, MISSING),
        (Left(RETURN, 3), {RETURN}, 3),
        (EITHER, {NEXT, BREAK, RETURN}, "value"),
        (Mixed("selector", frozenset((NEXT, CONTINUE))), {NEXT, CONTINUE}, MISSING),
    ],
    ids=["end", "break", "return", "three", "continue"],
)
def test_kinds_and_values(signal: Signal, kinds: set[int], value: Any) -> None:
    assert kinds_of(signal) == kinds
    assert value_of(signal) == value


def test_a_part_of_a_mixed_signal() -> None:
    assert only(EITHER, frozenset((NEXT,))) is None
    assert only(EITHER, frozenset((RETURN,))) == Left(RETURN, "value")
    assert only(EITHER, frozenset((BREAK, NEXT, CONTINUE))) == Mixed("selector", frozenset((BREAK, NEXT)), None)


def test_plain_statements_run_as_in_python() -> None:
    trace, log = new_trace(), []
    variables = Variables(lambda: None)

    def body(value: int) -> Signal:
        log.append(value)
        return Left(CONTINUE) if value < 2 else Left(BREAK)

    assert trace.for_loop([1, 2, 3], body, lambda: Left(RETURN, "else"), variables) is None
    assert log == [1, 2]
    assert trace.for_loop([1], lambda value: None, lambda: Left(RETURN, "else"), variables) == Left(RETURN, "else")
    assert trace.branch(1, lambda: Left(RETURN, 4), None, lambda: Left(RETURN, 5), variables) == Left(RETURN, 4)
    assert trace.branch(0, lambda: Left(RETURN, 4), None, lambda: Left(RETURN, 5), variables) == Left(RETURN, 5)
    assert trace.finish(None) is None
    assert trace.finish(Left(RETURN, 7)) == 7


def test_reading_variables() -> None:
    trace = new_trace()
    assert trace.value(3) == 3
    with pytest.raises(Refuse, match="why not"):
        trace.value(Poison("why not"))
    with pytest.raises(Refuse, match="a check"):
        trace.value(Maybe(3, "where it is present"))


def test_variables_without_values() -> None:
    def function() -> tuple[Variables, Any]:
        first = 1
        if first == 2:
            second = 2
        return Variables(lambda: (first, second)), lambda: first

    variables, read = function()
    assert variables.read() == {"first": 1}
    variables.write({"first": 5, "second": 6})
    assert read() == 5
    assert variables.read() == {"first": 5, "second": 6}
    variables.write({})
    assert variables.read() == {}


def test_iterators_that_may_have_been_left_are_not_advanced_again() -> None:
    trace = new_trace()
    first, second = trace.adopt(iter([1, 2])), trace.adopt(iter([1, 2]))
    with trace.doubting() as doubt:
        next(first)
        next(second)
        doubt()
        next(second)
    assert next(first) == 2
    with pytest.raises(Refuse, match="an iterator"):
        next(second)
