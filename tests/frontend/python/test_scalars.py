from __future__ import annotations

import math
import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitorch.frontend.python import paths
from jitorch.frontend.python.guards import Guard
from jitorch.frontend.python.paths import Path
from jitorch.frontend.python.scalars import RuntimeScalar, apply


class Guards:
    def __init__(self) -> None:
        self.found: list[Guard] = []

    def guard(self, path: Path, kind: str, expected: Any) -> None:
        self.found.append(Guard(path, kind, expected))


def scalar(value: Any, index: int = 0) -> RuntimeScalar:
    return RuntimeScalar(Guards(), paths.arg(index), value)


OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
]  # fmt: skip
numbers = st.integers(-50, 50) | st.floats(-1e6, 1e6) | st.booleans()


@given(st.sampled_from(OPERATORS), numbers, numbers, st.sampled_from(["both", "left", "right"]))
def test_operators_are_pythons_own_and_pure_expressions(function: Any, a: Any, b: Any, which: str) -> None:
    left = scalar(a, 0) if which != "right" else a
    right = scalar(b, 1) if which != "left" else b
    try:
        expected = function(a, b)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            function(left, right)
        return
    result = function(left, right)
    assert type(result) is RuntimeScalar
    assert result.value == expected
    assert result.python_type is type(expected)
    assert paths.evaluate(result.path, (a, b), {}) == expected
    assert not result.owner.found  # type: ignore[attr-defined]


@given(st.integers(-20, 20), st.integers(0, 12))
def test_integer_operators(a: int, b: int) -> None:
    for function in (operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift):
        assert function(scalar(a), scalar(b, 1)).value == function(a, b)
        assert function(a, scalar(b, 1)).value == function(a, b)
    for unary in (operator.neg, operator.pos, operator.invert, abs, round):
        assert unary(scalar(a)).value == unary(a)
    assert tuple(x.value for x in divmod(scalar(a), b + 1)) == divmod(a, b + 1)


def test_the_type_of_a_power_is_guarded() -> None:
    x = scalar(3)
    result = 2**x
    assert result.value == 8
    assert [(g.kind, g.expected) for g in x.owner.found] == [("type", int)]  # type: ignore[attr-defined]


def test_an_error_makes_the_operands_constant() -> None:
    x = scalar(0.0)
    with pytest.raises(ZeroDivisionError):
        1 / x
    assert [(g.kind, g.expected) for g in x.owner.found] == [("eq", 0.0)]  # type: ignore[attr-defined]


def test_a_result_that_is_no_number_is_constant() -> None:
    x = scalar(-8.0)
    result = x**0.5
    assert type(result) is complex
    assert [g.kind for g in x.owner.found] == ["eq"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (bool, True),
        (int, 2),
        (float, 2.0),
        (str, "2"),
        (lambda x: f"{x:>3}", "  2"),
        (operator.index, 2),
        (lambda x: [5, 6, 7][x], 7),
        (lambda x: {2: "a"}[x], "a"),
        (lambda x: x.bit_length(), 2),
        (lambda x: math.sqrt(x + 2), 2.0),
    ],
)
def test_native_uses_make_it_constant(use: Any, expected: Any) -> None:
    x = scalar(2)
    assert use(x) == expected
    assert "eq" in {g.kind for g in x.owner.found}  # type: ignore[attr-defined]


def test_comparison_with_other_objects() -> None:
    x = scalar(2)
    assert (x == "2") is False
    assert (x != None) is True  # noqa: E711
    with pytest.raises(TypeError):
        x + "a"  # type: ignore[operator]


def test_functions_of_numbers() -> None:
    x = scalar(2.5)
    result = apply(paths.operation(math.floor), x)
    assert result.value == 2
    assert str(result.path) == "math.floor(arg0)"
    assert math.ceil(x).value == 3
    assert math.trunc(x).value == 2


def test_it_shows_its_place_and_cannot_be_stored() -> None:
    import pickle

    assert repr(scalar(2.5)) == "<run-time float arg0>"
    with pytest.raises(TypeError, match="trace"):
        pickle.dumps(scalar(1))
