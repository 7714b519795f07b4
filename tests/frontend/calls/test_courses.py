"""Paths that cannot be joined have programs of their own, traced when they are taken first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import jitorch
from jitorch.errors import StagingError
from jitorch.frontend.calls import courses
from jitorch.frontend.trace import course

SIGNS = tuple(itertools.product((1.0, -1.0), repeat=3))


def tensor(*values: float) -> Any:
    return jitorch.tensor(values)


def optional(x):
    y = None
    if x[0] > 0:
        y = x * 2
    return x if y is None else y


def of_two_types(x):
    n = 1 if x[0] > 0 else 0.5
    return n, x * n


def of_two_shapes(x):
    y = x if x[0] > 0 else x[:1]
    return (y * 2).sum(), y.shape


def of_two_dtypes(x):
    y = x.to(jitorch.int64) if x[0] > 0 else x
    return y + 1


def collected(x):
    found = []
    for i in range(3):
        if x[i] > 0:
            found.append(x[i] * (i + 1))
    return found, len(found)


def keys(x):
    table = {"a": x}
    if x[0] > 0:
        table["b"] = x * 2
    elif x[1] > 0:
        del table["a"]
    return table, list(table)


def generated(x):
    def positive() -> Iterator[Any]:
        for i in range(3):
            if x[i] > 0:
                yield x[i]

    return list(positive())


def advanced(x):
    numbers = iter([1, 2, 3, 4])
    if x[0] > 0:
        next(numbers)
    if x[1] > 0:
        next(numbers)
    return x * next(numbers), list(numbers)


def written(x):
    a, b = x * 1, x * 2
    c = a if x[0] > 0 else b
    c.add_(10)
    return a, b


def nested(x):
    y = None
    if x[0] > 0:
        if x[1] > 0:
            y = x
        elif x[2] > 0:
            y = 3
    return y


def of_a_function(x):
    def pick(v):
        return v if v > 0 else None

    return [pick(x[0]), pick(x[1])]


def ends_without_a_value(x):  # noqa: RET503
    if x[0] > 0:
        return x


def raises_on_one(x):
    y = None
    if x[0] > 0:
        y = x
    if y is None:
        raise ValueError("not positive")
    return y


@pytest.mark.parametrize(
    ("function", "most"),
    [
        (optional, 2), (of_two_types, 2), (of_two_shapes, 2), (of_two_dtypes, 2), (collected, 8), (keys, 3),
        (generated, 8), (advanced, 4), (written, 2), (nested, 4), (of_a_function, 4), (ends_without_a_value, 2),
    ],
    ids=lambda x: getattr(x, "__name__", None),
)  # fmt: skip
def test_equal_to_python_on_all_courses(function: Callable[..., Any], most: int) -> None:
    compiled = jitorch.jit(function, fullgraph=True)
    for values in (*SIGNS, *SIGNS[::-1]):
        assert str(compiled(tensor(*values))) == str(function(tensor(*values)))
    assert compiled.statistics.traces <= most
    assert compiled.statistics.eager == 0


def test_only_courses_that_are_taken_are_traced() -> None:
    compiled = jitorch.jit(collected, fullgraph=True)
    for _ in range(3):
        compiled(tensor(1, 1, 1))
    assert compiled.statistics.traces == 1
    compiled(tensor(1, -1, 1))
    compiled(tensor(1, -1, 1))
    assert compiled.statistics.traces == 2
    assert "another outcome of a test" in compiled.explain()
    assert "a test of which this program is for the outcome False" in compiled.explain()


def test_nothing_is_written_by_a_program_that_stops() -> None:
    kept: list[Any] = []
    state = tensor(0.0)

    def f(x):
        kept.append(x.sum())
        state.add_(x[:1])
        y = None if x[0] > 0 else x
        return y, jitorch.rand(1)

    jitorch.manual_seed(3)
    compiled = jitorch.jit(f, fullgraph=True)
    got = [compiled(tensor(v, 1.0)) for v in (1, -1, 1, -1)], [k.item() for k in kept], state.item()
    kept.clear()
    state.zero_()
    jitorch.manual_seed(3)
    want = [f(tensor(v, 1.0)) for v in (1, -1, 1, -1)], [k.item() for k in kept], state.item()
    assert str(got) == str(want)


def test_gradients_of_each_course() -> None:
    compiled = jitorch.jit(optional, fullgraph=True)
    for values in SIGNS[:5]:
        gradients = []
        for f in (compiled, optional):
            x = tensor(*values).requires_grad_()
            f(x).sum().backward()
            gradients.append(x.grad.tolist())
        assert gradients[0] == gradients[1]


def test_a_path_that_raises_is_left_to_python() -> None:
    compiled = jitorch.jit(raises_on_one, fullgraph=True)
    for values in (*SIGNS, *SIGNS):
        x = tensor(*values)
        if values[0] > 0:
            assert compiled(x).tolist() == x.tolist()
        else:
            with pytest.raises(ValueError, match="not positive"):
                compiled(x)


def test_a_path_that_is_refused_runs_eagerly_and_the_others_do_not() -> None:
    def f(x):
        y = None if x[0] > 0 else x
        return y if y is None else y.tolist()

    compiled = jitorch.jit(f)
    assert compiled(tensor(1, 1)) is None
    with pytest.warns(RuntimeWarning, match="tolist"):
        assert compiled(tensor(-1, 1)) == [-1, 1]
    assert compiled(tensor(-1, 2)) == [-1, 2]
    assert compiled(tensor(1, 1)) is None
    assert (compiled.statistics.native, compiled.statistics.eager) == (2, 2)


def test_sizes_become_symbols_on_each_course() -> None:
    compiled = jitorch.jit(optional, fullgraph=True)
    for size in (2, 3, 4, 5, 6):
        for sign in (1.0, -1.0):
            x = jitorch.full((size,), sign)
            assert compiled(x).tolist() == optional(x).tolist()
    assert compiled.statistics.traces == 4


def test_a_check_of_the_program_finds_its_course() -> None:
    compiled = jitorch.jit(optional, check="first")
    assert compiled(tensor(-1, 2)).tolist() == [-1, 2]
    assert compiled.check(tensor(1, 2))
    assert compiled.check(tensor(-1, 2))


def test_too_many_courses_are_refused_as_one_program_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courses, "MOST_COURSES", 2)
    compiled = jitorch.jit(collected)
    for values in ((1, 1, 1), (1, 1, -1)):
        compiled(tensor(*values))
    with pytest.warns(RuntimeWarning, match="a list has 1 elements on one path and 0 on another"):
        assert str(compiled(tensor(-1, 1, 1))) == str(collected(tensor(-1, 1, 1)))
    compiled(tensor(1, 1, 1))
    assert compiled.statistics.eager == 1
    assert compiled.statistics.native == 3


def test_a_course_of_too_many_tests_is_refused_as_one_program_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "MOST_TESTS", 2)
    with pytest.raises(StagingError, match="a list has 1 elements on one path and 0 on another"):
        jitorch.jit(collected, fullgraph=True)(tensor(1, 1, 1))


def in_a_loop(x):
    y = None
    while x.sum() < 10:
        y = x if x[0] > 0 else None
        x = x + 1
    return y


def test_branches_in_loops_of_the_program_are_not_kept_apart() -> None:
    compiled = jitorch.jit(in_a_loop, fullgraph=True)
    with pytest.raises(StagingError, match="None on"):
        compiled(tensor(1, 2))
    assert compiled._courses.places == frozenset()
