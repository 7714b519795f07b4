"""Interval arithmetic contains every result."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitorch.dims import intervals


@st.composite
def range_and_member(draw):
    value = draw(st.integers(-20, 20))
    low = draw(st.sampled_from([-inf]) | st.integers(-25, value))
    high = draw(st.sampled_from([inf]) | st.integers(value, 25))
    return (low, high), value


@given(range_and_member(), range_and_member())
def test_results_lie_inside(a, b):
    (first, x), (second, y) = a, b
    low, high = intervals.times(first, second)
    assert low <= x * y <= high
    if y != 0:
        low, high = intervals.floordiv(first, second)
        assert low <= x // y <= high
        low, high = intervals.mod(first, second)
        assert low <= x % y <= high


@pytest.mark.parametrize(
    ("fn", "a", "b", "expected"),
    [
        (intervals.times, (0, 3), (1, inf), (0, inf)),
        (intervals.times, (-2, 3), (-1, 4), (-8, 12)),
        (intervals.floordiv, (1, inf), (2, 2), (0, inf)),
        (intervals.floordiv, (-1, -1), (1, inf), (-1, -1)),
        (intervals.floordiv, (4, 9), (-2, -2), (-5, -2)),
        (intervals.mod, (0, 5), (9, 9), (0, 5)),
        (intervals.mod, (-5, 5), (-4, -4), (-3, 0)),
    ],
)
def test_ends(fn, a, b, expected):
    assert fn(a, b) == expected
