"""What a branch or loop cannot join is refused at the user's line, with words on what to write instead.

Where each path may have a program of its own (`calls.courses`) much of it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import jitorch
from jitorch import nn
from jitorch.errors import StagingError
from jitorch.frontend.calls import courses

WEIGHTS = nn.Module()
WEIGHTS.first, WEIGHTS.second = nn.Parameter(jitorch.ones(2)), nn.Parameter(jitorch.zeros(2))


@pytest.fixture(autouse=True)
def one_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courses, "MOST_COURSES", 0)


def two_types(x):
    if x[0] > 0:
        y = 1
    else:
        y = "one"
    return y


def unbound_after_a_loop(x):
    while x.sum() < 10:
        x = x + 1
        y = x
    return y


def growing_shape(x):
    while x.sum() < 10:
        x = jitorch.cat([x, x])
    return x


def two_shapes(x):
    return x if x[0] > 0 else x[0]


def two_lengths(x):
    found = []
    if x[0] > 0:
        found.append(x)
    return found


def none_or_tensor(x):
    if x[0] > 0:
        return x
    return None


def no_value_on_one_path(x):  # noqa: RET503
    if x[0] > 0:
        return x


def write_to_one_of_two(x):
    y = x * 2 if x[0] > 0 else x
    y += 1
    return y


def reading(x):
    if x[0] > 0:
        input(x)
    return x


def object_of_one_path(x):
    if x[0] > 0:
        WEIGHTS.first = WEIGHTS.second
    return x


def gradient_of_a_write(x):
    w = jitorch.ones(2, requires_grad=True)
    y = w * 2
    if x[0] > 0:
        y.mul_(x)
    return y


def ignored(x):
    return helper(x)


@jitorch.jit.ignore
def helper(x):
    return x + 1


CASES = [
    (two_types, "the variable 'y' is int on one path and 'one' on another", "return y", "one type on all paths"),
    (unbound_after_a_loop, "the variable 'y' has no value on one path", "return y", "before the branch or loop"),
    (growing_shape, "the variable 'x' is f32[2] on one path and f32[4]", "x.sum() < 10", "one type"),
    (two_shapes, "is f32[2] on one path and f32[] on another", "x[0] > 0", "one type"),
    (two_lengths, "a list has 1 elements on one path and 0 on another", "if x[0] > 0:", "append on both paths"),
    (none_or_tensor, "is f32[2] on one path and None on another", "x[0] > 0", "one type"),
    (no_value_on_one_path, "returns a value on one path and ends without one", "", "return a value at the end"),
    (write_to_one_of_two, "a write to a tensor that is one of several", "y += 1", "out-of-place"),
    (reading, "input() reads from outside", "input(x)", "change that line"),
    (object_of_one_path, "['first'] is a parameter", "x[0] > 0", "choose between values"),
    (gradient_of_a_write, "a write with a gradient", "y.mul_(x)", "out-of-place"),
    (ignored, "helper is marked with jit.ignore", "helper(x)", "change that line"),
]


@pytest.mark.parametrize(("function", "why", "line", "hint"), CASES, ids=[c[0].__name__ for c in CASES])
def test_refusal(function: Callable[..., Any], why: str, line: str, hint: str) -> None:
    x = jitorch.tensor([1.0, 2.0])
    with pytest.raises(StagingError) as caught:
        jitorch.jit(function, fullgraph=True)(x)
    text = str(caught.value)
    assert why in text
    assert line in text
    assert "^" in text
    assert hint in text
    assert f"docs/errors.md#{caught.value.identifier} ({caught.value.identifier})" in text


@pytest.mark.parametrize("function", [two_types, write_to_one_of_two, ignored])
def test_without_fullgraph_python_runs_the_call(function: Callable[..., Any]) -> None:
    x, same = jitorch.tensor([1.0, 2.0]), jitorch.tensor([1.0, 2.0])
    compiled = jitorch.jit(function)
    with pytest.warns(RuntimeWarning, match="runs eagerly"):
        result = compiled(x)
    assert str(result) == str(function(same))
    assert "runs eagerly" in compiled.explain()


def raising_in_two_ways(x):
    if x.sum() > 0:
        raise ValueError("positive")
    raise ValueError("not positive")


def test_what_raises_after_a_check_is_left_to_python() -> None:
    x = jitorch.tensor([1.0, 2.0])
    for given, what in ((x, "^positive"), (-x, "^not positive")):
        with (
            pytest.raises(ValueError, match=what),
            pytest.warns(RuntimeWarning, match="every path that is left raises"),
        ):
            jitorch.jit(raising_in_two_ways)(given)
    with pytest.raises(StagingError, match="every path that is left raises ValueError") as caught:
        jitorch.jit(raising_in_two_ways, fullgraph=True)(x)
    assert 'raise ValueError("not positive")' in str(caught.value)
