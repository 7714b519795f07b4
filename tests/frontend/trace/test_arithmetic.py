"""Numbers that only the program knows have Python's arithmetic: exceptions, and integers of any size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import jitorch

VALUES = (0.0, 2.0, -3.0, 1e6)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "truediv": lambda x: 1.0 / float(x),
    "floordiv": lambda x: 7 // int(x),
    "mod": lambda x: -7 % int(x),
    "by a constant": lambda x: (int(x) // 3, int(x) % 3, float(x) / 4),
    "product": lambda x: int(x) * 10**14,
    "square": lambda x: int(x) * int(x) * int(x) * int(x),
    "sum": lambda x: int(x) + 5 - float(x),
}


NEAR_THE_END: dict[str, Callable[..., Any]] = {
    "sum": lambda x: int(x[0]) + int(x[1]),
    "difference": lambda x: int(x[0]) - int(x[1]),
    "counter": lambda x: int(x[0]) + 1,
    "negative": lambda x: -int(x[0]),
    "absolute": lambda x: abs(int(x[0])),
    "quotient": lambda x: int(x[0]) // -1,
    "constant": lambda x: int(x[0]) + 2**64,
    "float": lambda x: int(x.double()[0]),
}


@pytest.mark.parametrize("name", NEAR_THE_END)
def test_integers_of_any_size(name: str) -> None:
    function = NEAR_THE_END[name]
    compiled = jitorch.jit(function, fullgraph=True)
    for values in ((3, 4), (2**62, 2**62), (-(2**63), 2**62), (2**63 - 1, -(2**63)), (-5, 7)):
        x = jitorch.tensor(values)
        got, want = compiled(x), function(x)
        assert type(got) is int
        assert got == want
    assert compiled.statistics.traces == 1


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_what_is_no_integer(value: str) -> None:
    x = jitorch.tensor(float(value))
    with pytest.raises((OverflowError, ValueError)) as plain:
        int(x)
    with pytest.raises(type(plain.value)):
        jitorch.jit(lambda x: int(x), fullgraph=True)(x)


def test_a_counter_is_not_checked() -> None:
    def f(x):
        n = 0
        while x[0] > n:
            n += 1
        return n

    compiled = jitorch.jit(f, fullgraph=True)
    assert compiled(jitorch.tensor([3.5])) == 4
    assert " check(" not in str(compiled.graph)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_python(name: str) -> None:
    function = FUNCTIONS[name]
    compiled = jitorch.jit(function, fullgraph=True)
    for value in (*VALUES, *VALUES):
        x = jitorch.tensor(value, dtype=jitorch.float64)
        try:
            want = function(x)
        except ZeroDivisionError as error:
            with pytest.raises(ZeroDivisionError, match=str(error)):
                compiled(x)
            continue
        got = compiled(x)
        assert type(got) is type(want)
        assert got == pytest.approx(want)
    assert compiled.statistics.traces == 1


def test_sizes_are_compared_by_value() -> None:
    def f(x):
        square = x.shape[0] == x.shape[1]
        return square, x.shape[0] != 4, x.shape[0] / 2, x.shape[0] ** 0.5, x.shape == (3, 3)

    compiled = jitorch.jit(f, fullgraph=True)
    for rows in (2, 3, 4, 5, 3, 2):
        x = jitorch.ones(rows, 3)
        assert compiled(x) == pytest.approx(f(x))
