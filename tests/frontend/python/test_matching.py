"""What patterns ask of their subjects: PEP 634's sequences, mappings, classes and their attributes."""

from __future__ import annotations

import collections
from typing import Any

import pytest

from jitorch.frontend.python.journal import MISSING
from tests.frontend.python.test_fork import new_trace


class Named:
    __match_args__ = ("first", "second")

    def __init__(self) -> None:
        self.first, self.other = 1, 2


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
    assert trace.match_mapping(trace.adopt({"a": 1, "b": 2}), "a")
    assert not trace.match_mapping(trace.adopt({"a": 1}), "a", "b")
    assert not trace.match_mapping([("a", 1)])
    assert trace.match_rest_of_mapping(trace.adopt({"a": 1, "b": 2}), "a") == {"b": 2}
    assert trace.match_rest_of_sequence((1, 2, 3, 4), 1, -1) == [2, 3]


def test_classes() -> None:
    trace, one = new_trace(), Named()
    assert trace.match_class(one, Named, 2)
    assert not trace.match_class(3, Named, 9)
    assert trace.match_attribute(one, Named, 0) == 1
    assert trace.match_attribute(one, Named, 1) is MISSING
    assert trace.match_attribute(one, Named, "other") == 2
    assert trace.match_attribute(7, int, 0) == 7
    assert trace.match_found(None)
    assert not trace.match_found(MISSING)
    with pytest.raises(TypeError, match=r"Named\(\) accepts 2 positional sub-patterns \(3 given\)"):
        trace.match_class(one, Named, 3)
    with pytest.raises(TypeError, match=r"int\(\) accepts 1 positional sub-pattern \(2 given\)"):
        trace.match_class(5, int, 2)
    with pytest.raises(TypeError, match="must be a class"):
        trace.match_class(5, 5, 0)
