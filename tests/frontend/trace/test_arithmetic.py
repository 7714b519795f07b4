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
