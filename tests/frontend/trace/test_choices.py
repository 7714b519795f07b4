"""A tensor that the program chose: which object it is, and what may be done with it meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import jitorch
from jitorch.errors import StagingError
from jitorch.frontend.calls import courses


def tensor(*values: float) -> Any:
    return jitorch.tensor([float(v) for v in values])


def test_identity_of_results() -> None:
    made = jitorch.jit(lambda x, y: (x if x[0] > 0 else y * 2, x is y), fullgraph=True)
    for value, same in ((1, True), (-1, False), (2, True)):
        x, y = tensor(value, 2), tensor(3, 4)
        found, _ = made(x, y)
        assert (found is x) is same
    assert made.statistics.traces == 1


def test_a_parameter_stays_one() -> None:
    w, v = jitorch.nn.Parameter(tensor(1, 2)), jitorch.nn.Parameter(tensor(3, 4))
    choose = jitorch.jit(lambda x: w if x > 0 else v, fullgraph=True)
    assert choose(jitorch.tensor(1.0)) is w
    assert choose(jitorch.tensor(-1.0)) is v
    (choose(jitorch.tensor(1.0)) * 2).sum().backward()
    assert w.grad.tolist() == [2, 2]
    assert v.grad is None


def test_two_results_that_are_one() -> None:
    def f(x):
        a, b = x + 1, x + 2
        return a, (a if x[0] > 0 else b), b

    compiled = jitorch.jit(f, fullgraph=True)
    for value in (1, -1):
        a, chosen, b = compiled(tensor(value))
        assert (chosen is a, chosen is b) == (value > 0, value < 0)


def test_no_code_where_nobody_asks() -> None:
    def f(x):
        y = x * 2
        y = y + 1 if x[0] > 0 else y
        return y.sum()

    compiled = jitorch.jit(f, fullgraph=True)
    compiled(tensor(1))
    assert len(compiled.graph.outputs) == 1


def written(x, y):
    z = x if x[0] > 0 else y
    z += 1
    return z


def read_after_a_write(x, y):
    z = x if x[0] > 0 else y
    y.mul_(2)
    return z + 1


def asked_for_its_gradient(x, y):
    z = x if x[0] > 0 else y
    return x if z.grad is None else y


def alternating(x, y):
    n, a, b = 0, x + 1, y + 1
    while n < 3 + x[0]:
        a, b = (b, a) if y[0] > n else (b + 1, a)
        n += 1
    return a, b, n


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (written, "a write to a tensor that is one of several"),
        (read_after_a_write, "read, after a write to one"),
        (asked_for_its_gradient, "the gradient of a tensor that is one of several"),
    ],
    ids=["written", "read", "gradient"],
)
def test_refusals(function: Callable[..., Any], why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one program; where each path may have one, there are two."""
    compiled = jitorch.jit(function, fullgraph=True)
    for values in ((1, 2), (-1, 2)):
        got, want = [f(*map(tensor, values)) for f in (compiled, function)]
        assert got.tolist() == want.tolist()
    assert compiled.statistics.traces == 2
    monkeypatch.setattr(courses, "MOST_COURSES", 0)
    with pytest.raises(StagingError, match=why):
        jitorch.jit(function, fullgraph=True)(tensor(1), tensor(2))


def test_exchanged_results_are_told_apart() -> None:
    compiled = jitorch.jit(alternating, fullgraph=True)
    for value in (1, 2, 9):
        got, want = compiled(tensor(0), tensor(value)), alternating(tensor(0), tensor(value))
        assert [r if isinstance(r, int) else r.tolist() for r in got] == [
            r if isinstance(r, int) else r.tolist() for r in want
        ]
        assert got[0] is not got[1]
