"""Parts of a trace that are transformed: what they may do, and what stays outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import func
from jitorch.errors import StagingError

X = np.array([[0.5, -1.0, 2.0], [1.0, 2.0, 3.0]])


def t(x: Any) -> Any:
    return jitorch.tensor(x, dtype=jitorch.float64)


def compiled(function: Any) -> Any:
    return jitorch.jit(function, fullgraph=True)


class Counter:
    def __init__(self) -> None:
        self.calls = 0
        self.seen: list[Any] = []


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda counter, x: setattr(counter, "calls", counter.calls + 1), "the attribute 'calls' of a Counter"),
        (lambda counter, x: counter.seen.append(x), "a list"),
        (lambda counter, x: counter.__dict__.update(more=1), "'more'"),
    ],
    ids=range(3),
)
def test_changes_of_objects_are_refused_by_name(write: Any, message: str) -> None:
    counter = Counter()

    def function(x: Any) -> Any:
        write(counter, x)
        return x * 2

    with pytest.raises(StagingError, match=message):
        compiled(func.vmap(function))(t(X))
    assert (counter.calls, counter.seen) == (0, [])


def test_a_variable_is_refused_and_what_is_made_inside_is_free() -> None:
    total = 0

    def counting(x: Any) -> Any:
        nonlocal total
        total += 1
        return x

    with pytest.raises(StagingError, match="contents' of a cell"):
        compiled(func.vmap(counting))(t(X))

    def making(x: Any) -> Any:
        parts = [x * i for i in range(3)]
        table = {"sum": sum(parts)}
        table["more"] = table["sum"].sin()
        return table["more"]

    np.testing.assert_allclose(compiled(func.vmap(making))(t(X)).numpy(), np.sin(3 * X))


def test_values_that_are_put_back_have_not_changed() -> None:
    counter = Counter()

    def function(x: Any) -> Any:
        old, counter.calls = counter.calls, 5
        y = x * counter.calls
        counter.calls = old
        return y

    np.testing.assert_allclose(compiled(func.vmap(function))(t(X)).numpy(), 5 * X)
    assert counter.calls == 0


def test_writes_that_are_one_for_all_reach_memory() -> None:
    steps = t([0.0])

    def function(x: Any) -> Any:
        steps.add_(1)
        return x * steps

    step = compiled(func.vmap(function))
    for n in (1, 2):
        np.testing.assert_allclose(step(t(X)).numpy(), n * X)
        assert steps.tolist() == [float(n)]


def test_an_assertion_holds_for_every_lane() -> None:
    def guarded(x: Any) -> Any:
        assert x.sum() > 0, "negative"
        return x.log()

    run = compiled(func.vmap(guarded))
    np.testing.assert_allclose(run(t(X) + 2).numpy(), np.log(X + 2))
    with pytest.raises(Exception, match="differs from lane to lane"):  # Python would have to decide
        run(t(X) - 5)


def test_gradients_from_outside_go_through_but_not_through_no_grad() -> None:
    w = t(X[0]).requires_grad_()

    def function(x: Any) -> Any:
        with jitorch.no_grad():
            factor = (w * x).sum()
        return factor * (w * x).sum()

    x = t(X)

    def loss() -> Any:
        return func.vmap(function)(x).sum()

    loss().backward()
    expected, w.grad = w.grad.numpy().copy(), None
    compiled(loss)().backward()
    np.testing.assert_allclose(w.grad.numpy(), expected)


def test_numbers_sizes_and_branches_on_plain_values() -> None:
    def function(x: Any, power: int, scale: float) -> Any:
        for _ in range(power):
            x = x * x
        return x * scale if x.shape[0] == 3 else x

    def whole(x: Any, power: int, scale: float) -> Any:
        return func.vmap(function, in_dims=(0, None, None))(x, power, scale)

    run = compiled(whole)
    for power, scale in ((1, 2.0), (1, 3.0), (2, 3.0)):
        np.testing.assert_allclose(run(t(X), power, scale).numpy(), X ** (2**power) * scale)


def test_a_symbolic_batch() -> None:
    run = jitorch.jit(lambda x: func.vmap(func.grad(lambda r: (r.sin() * r).sum()))(x), fullgraph=True, dynamic=True)
    for size in (2, 5, 7):
        x = np.random.default_rng(size).normal(size=(size, 3))
        np.testing.assert_allclose(run(t(x)).numpy(), np.sin(x) + x * np.cos(x), rtol=1e-9)
    assert run.statistics.traces == 1
