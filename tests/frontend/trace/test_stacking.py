"""Lists that a loop of the program appends to, as often as only the program knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch.errors import StagingError

LIMIT = 6


def until_large(x):
    """Nothing but the data ends the loop."""
    rows = []
    while x.sum() < 100:
        x = x * 2
        rows.append(x)
    return jitorch.stack(rows), x


def until_large_or_many(x):
    rows = []
    while x.sum() < 100 and len(rows) < LIMIT:
        x = x * 2
        rows.append(x)
    return jitorch.stack(rows)


def with_a_flag(x):
    rows, going = [], True
    while going:
        x = x * 2
        rows.append(x[:1])
        going = len(rows) < LIMIT and bool(x.sum() < 100)
    return jitorch.cat(rows)


def with_break(x):
    rows = []
    for i in range(30):
        x = x * 2 + i
        rows.append(x)
        if x.sum() > 100:
            break
    return jitorch.stack(rows, 1)


def endless(x):
    rows = []
    while True:
        x = x * 2
        rows.append(x)
        if x.sum() > 100:
            break
    return rows


def the_list(x):
    rows = [x]
    while x.sum() < 100:
        x = x * 2
        rows.append(x)
    rows.append(x - 1)
    return rows


def numbers(x):
    counts = []
    while x.sum() < 100:
        x = x * 2
        counts.append(int(x.sum()))
    return counts


def floats_and_bools(x):
    sums, tests = [], []
    while x.sum() < 100:
        x = x * 2
        sums.append(x.sum().item())
        tests.append(bool(x[0] > 8))
    return sums, tests


def length_and_last(x):
    rows = []
    while x.sum() < 100:
        x = x * 2
        rows.append(x)
    return len(rows), rows[-1] + 1


def last_number(x):
    counts = [0]
    while x.sum() < 100:
        x = x * 2
        counts.append(int(x.sum()))
    return counts[-1] + len(counts)


def walked(x):
    rows = []
    while x.sum() < 100:
        x = x * 2
        rows.append(x)
    total = jitorch.zeros(3)
    for row in rows:
        total = total * 0.5 + row
    return total


def joined_along_the_last_axis(x):
    rows = [x.reshape(1, 3)]
    while x.sum() < 100:
        x = x * 2
        rows.append(x.reshape(1, 3))
    return jitorch.cat(rows, 1), jitorch.cat(rows, dim=-1), jitorch.cat(rows), jitorch.stack(rows, axis=1)


def two_loops(x):
    rows = []
    while x.sum() < 50:
        x = x * 2
        rows.append(x)
    while x.sum() < 200:
        x = x * 3
        rows.append(x)
    return jitorch.stack(rows), len(rows)


def two_lists(x):
    rows, squares = [], []
    while x.sum() < 100:
        x = x * 2
        rows.append(x)
        squares.append((x * x).sum())
    return jitorch.stack(rows), jitorch.stack(squares)


def steps_of_three(x):
    rows, n = [], 1
    while n < 12 and x.sum() < 1000:
        x, n = x * 2, n + 3
        rows.append(x * n)
    return jitorch.stack(rows)


def with_random_numbers(x):
    rows = []
    while x.sum() < 100:
        x = x * 2 + jitorch.rand(3)
        rows.append(x)
    return jitorch.stack(rows)


def with_an_assertion(x):
    rows = []
    while x.sum() < 100:
        x = x * 2
        assert x.min() > 0
        rows.append(x)
    return jitorch.stack(rows)


FUNCTIONS = [
    until_large, until_large_or_many, with_a_flag, with_break, endless, the_list, numbers, floats_and_bools,
    length_and_last, last_number, walked, joined_along_the_last_axis, two_loops, two_lists, steps_of_three,
    with_random_numbers, with_an_assertion,
]  # fmt: skip


def plain(value: Any) -> Any:
    """Tensors in a structure as lists, with their types."""
    if isinstance(value, (list, tuple)):
        return [plain(x) for x in value]
    return (value.dtype, value.tolist()) if isinstance(value, jitorch.Tensor) else (type(value), value)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_is_what_plain_python_gives(function: Callable[..., Any], backend: str) -> None:
    compiled = jitorch.jit(function, fullgraph=True, backend=backend)
    for start in (1.0, 7.0, 0.5):
        x = jitorch.full((3,), start)
        jitorch.manual_seed(3)
        got = plain(compiled(x))
        jitorch.manual_seed(3)
        assert got == plain(function(x))
    assert compiled.statistics.traces == 1
    assert compiled.statistics.eager == 0


@pytest.mark.parametrize("function", [until_large, the_list, numbers, two_lists, walked])
def test_its_program_can_be_checked(function: Callable[..., Any]) -> None:
    assert jitorch.jit(function, fullgraph=True).check(jitorch.ones(3))


@pytest.mark.parametrize("function", [the_list, numbers, two_lists])
def test_no_turn_at_all(function: Callable[..., Any]) -> None:
    compiled = jitorch.jit(function, fullgraph=True)
    compiled(jitorch.ones(3))
    x = jitorch.full((3,), 100.0)
    if function is two_lists:
        with pytest.raises(jitorch.errors.ShapeError):
            compiled(x)
    else:
        assert plain(compiled(x)) == plain(function(x))


def test_the_last_of_nothing_is_an_index_error() -> None:
    compiled = jitorch.jit(length_and_last, fullgraph=True)
    compiled(jitorch.ones(3))
    with pytest.raises(IndexError):
        compiled(jitorch.full((3,), 100.0))


def test_a_list_from_outside() -> None:
    history: list[Any] = []

    @jitorch.jit(fullgraph=True)
    def run(x):
        while x.sum() < 100:
            x = x * 2
            history.append(x.sum())
        return x

    for start in (1.0, 30.0):
        run(jitorch.full((3,), start))
    assert [h.item() for h in history] == [6.0, 12.0, 24.0, 48.0, 96.0, 192.0, 180.0]


def test_a_gradient_through_the_rows() -> None:
    def loss(x):
        rows = []
        while x.sum() < 100:
            x = x * x + 1
            rows.append(x)
        return (jitorch.stack(rows) * 0.01).sum()

    gradients = []
    for function in (loss, jitorch.jit(loss, fullgraph=True)):
        x = jitorch.tensor([1.0, 0.5, 0.25], requires_grad=True)
        function(x).backward()
        gradients.append(x.grad)
    np.testing.assert_allclose(gradients[1].numpy(), gradients[0].numpy(), rtol=1e-5)


def test_a_gradient_from_outside_of_rows() -> None:
    x = jitorch.ones(3, requires_grad=True)
    rows, _ = jitorch.jit(until_large, fullgraph=True)(x)
    rows.sum().backward()
    assert x.grad.tolist() == [126.0] * 3


def test_a_loop_over_a_symbolic_size() -> None:
    def run(x):
        rows, h = [], x[0]
        for t in range(x.shape[0]):
            h = (h * 0.5 + x[t]).tanh() + x[t].sin()
            rows.append(h)
        return jitorch.stack(rows), rows, len(rows)

    compiled = jitorch.jit(run, fullgraph=True)
    for n in (20, 30, 40):
        x = jitorch.arange(3.0 * n).reshape(n, 3) * 0.01
        got, want = compiled(x), run(x)
        np.testing.assert_allclose(got[0].numpy(), want[0].numpy(), rtol=1e-5)
        np.testing.assert_allclose([r.numpy() for r in got[1]], [r.numpy() for r in want[1]], rtol=1e-5)
        assert got[2] == n
    assert compiled.statistics.traces == 2


def appends_a_pair(x):
    rows = []
    while x.sum() < 100:
        x = x * 2
        rows.append((x, x))
    return rows


def takes_one(x):
    rows = []
    while x.sum() < 100:
        x = x * 2
        rows.append(x)
    return rows[1]


def appends_on_one_path(x):
    rows = []
    while x.sum() < 100:
        x = x * 2
        if x[0] > 4:
            rows.append(x)
    return jitorch.stack(rows)


def inside_of_a_loop(x):
    total = x
    while x.sum() < 100:
        rows, y = [], x
        while y.sum() < 200:
            y = y * 2
            rows.append(y)
        total = total + jitorch.stack(rows).sum(0)
        x = x * 3
    return total


OUTSIDE = [jitorch.zeros(3)]


def joins_a_list_from_outside(x):
    while x.sum() < 100:
        x = x * 2
        OUTSIDE.append(x)
    return jitorch.stack(OUTSIDE).sum() * 0 + x


def stacks_numbers(x):
    counts = []
    while x.sum() < 100:
        x = x * 2
        counts.append(int(x.sum()))
    try:
        return jitorch.stack(counts)
    except TypeError:
        return x


REFUSED = {
    joins_a_list_from_outside: "an element of a list",
    stacks_numbers: "numbers in the place of tensors",
    appends_a_pair: "other than one tensor or number",
    takes_one: "an element of a list",
    appends_on_one_path: "on one path",
    inside_of_a_loop: "inside of another loop",
}


@pytest.mark.parametrize("function", REFUSED)
def test_what_is_refused_runs_as_plain_python(function: Callable[..., Any]) -> None:
    with pytest.raises(StagingError, match=REFUSED[function]):
        jitorch.jit(function, fullgraph=True)(jitorch.ones(3))
    with pytest.warns(RuntimeWarning, match=REFUSED[function]):
        got = jitorch.jit(function)(jitorch.ones(3))
    assert plain(got) == plain(function(jitorch.ones(3)))
