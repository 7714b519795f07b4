"""The most turns of a loop, as its test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jitorch.ir.types import BOOL, INT
from jitorch.ops import OPS
from jitorch.passes.turns import most_turns
from tests.control import body, f64

X = f64(3)

CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[int | None], int | None]] = {
    "a counter": (lambda i, x: i < 5, lambda i, x: (i + 1, x), [0, None], 5),
    "up to and with": (lambda i, x: i <= 5, lambda i, x: (i + 1, x), [0, None], 6),
    "steps of three": (lambda i, x: i < 10, lambda i, x: (i + 3, x), [1, None], 3),
    "downwards": (lambda i, x: i > 0, lambda i, x: (i - 2, x), [7, None], 4),
    "a sum in the test": (lambda i, x: i + 1 <= 4, lambda i, x: (1 + i, x), [0, None], 4),
    "not at all": (lambda i, x: i < 5, lambda i, x: (i + 1, x), [9, None], 0),
    "a negation": (lambda i, x: OPS["logical_not"](i >= 5), lambda i, x: (i + 1, x), [0, None], 5),
    "and": (lambda i, x: OPS["logical_and"](i < 5, x.sum() > 0), lambda i, x: (i + 1, x), [0, None], 5),
    "or": (lambda i, x: OPS["logical_or"](i < 5, x.sum() > 0), lambda i, x: (i + 1, x), [0, None], None),
    "the wrong way": (lambda i, x: i < 5, lambda i, x: (i - 1, x), [0, None], None),
    "a start that is not known": (lambda i, x: i < 5, lambda i, x: (i + 1, x), [None, None], None),
    "a step that is not known": (lambda i, x: i < 5, lambda i, x: (i + i, x), [1, None], None),
    "data": (lambda i, x: x.sum() < 5, lambda i, x: (i + 1, x), [0, None], None),
}


@pytest.mark.parametrize("name", CASES)
def test_the_most_turns(name: str) -> None:
    test, turn, firsts, expected = CASES[name]
    assert most_turns(body(test, INT, X, name="test"), body(turn, INT, X), firsts) == expected


def test_a_flag_that_a_turn_sets_for_the_next() -> None:
    test = body(lambda i, going: going, INT, BOOL, name="test")
    turn = body(lambda i, going: (i + 1, i + 1 < 4), INT, BOOL)
    assert most_turns(test, turn, [0, None]) == 4


def test_a_flag_that_keeps_its_value_bounds_nothing() -> None:
    test = body(lambda i, going: going, INT, BOOL, name="test")
    turn = body(lambda i, going: (i + 1, going), INT, BOOL)
    assert most_turns(test, turn, [0, None]) is None
