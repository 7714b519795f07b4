"""What patterns ask of their subjects: PEP 634's sequences, mappings, classes and their attributes."""

from __future__ import annotations

import collections
import re
from typing import Any

import pytest

from tests.frontend.python.test_fork import new_trace


class Named:
    __match_args__ = ("first", "second")

    def __init__(self) -> None:
        self.first, self.other = 1, 2


class Names:
    """Its class gets these for names of positional patterns."""

    __match_args__: Any = ()

    def __init__(self, names: Any) -> None:
        self.names = names


@pytest.mark.parametrize(
    ("subject", "least", "exactly", "found"),
    [
        ([1, 2], 2, True, True), ([1, 2], 1, True, False), ((1, 2), 1, False, True), ([], 1, False, False),
        (range(3), 3, True, True), (collections.deque([1]), 1, True, True), ("ab", 2, True, False),
        ({1, 2}, 2, True, False),
        (b"ab", 2, True, False), (5, 1, False, False),
    ],
    ids=repr,
)  # fmt: skip
def test_sequences(subject: Any, least: int, exactly: bool, found: bool) -> None:
    assert new_trace().match_sequence(subject, least, exactly) is found


def test_mappings() -> None:
    trace = new_trace()
    assert trace.match_mapping(trace.adopt({"a": 1, "b": 2}), "b", "a") == (2, 1)
    assert trace.match_mapping(trace.adopt({"a": 1})) == ()
    assert trace.match_mapping(trace.adopt({"a": 1}), "a", "b") is None
    assert trace.match_mapping([("a", 1)]) is None
    assert trace.match_rest_of_mapping(trace.adopt({"a": 1, "b": 2}), "a") == {"b": 2}
    assert trace.match_rest_of_sequence((1, 2, 3, 4), 1, -1) == [2, 3]
    with pytest.raises(ValueError, match=r"mapping pattern checks duplicate key \('a'\)"):
        trace.match_mapping({}, "a", "a")


def test_classes() -> None:
    trace, one = new_trace(), Named()
    assert trace.match_class(one, Named)
    assert not trace.match_class(3, Named)
    assert trace.match_parts(one, Named, 1, "other") == (1, 2)
    assert trace.match_parts(one, Named, 0) == ()
    assert trace.match_parts(one, Named, 2) is None
    assert trace.match_parts(3, Named, 9) is None
    assert trace.match_parts(7, int, 1, "real") == (7, 7)


@pytest.mark.parametrize(
    ("subject", "kind", "positional", "names", "message"),
    [
        (Named(), Named, 3, (), "Named() accepts 2 positional sub-patterns (3 given)"),
        (5, int, 2, (), "int() accepts 1 positional sub-pattern (2 given)"),
        (5, 5, 0, (), "called match pattern must be a class"),
        (Named(), Named, 1, ("first",), "Named() got multiple sub-patterns for attribute 'first'"),
        (Names(["first"]), Names, 1, (), "Names.__match_args__ must be a tuple (got list)"),
        (Names((1,)), Names, 1, (), "__match_args__ elements must be strings (got int)"),
    ],
)  # fmt: skip
def test_class_patterns_that_are_errors(
    subject: Any, kind: Any, positional: int, names: tuple[str, ...], message: str
) -> None:
    if isinstance(subject, Names):
        kind.__match_args__ = subject.names
    with pytest.raises(TypeError, match=re.escape(message)):
        new_trace().match_parts(subject, kind, positional, *names)
