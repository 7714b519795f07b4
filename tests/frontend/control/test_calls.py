"""Control flow between calls: nothing is frozen, failed checks are Python's, and `explain` tells what was staged."""

from __future__ import annotations

import traceback
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import jit

SETTINGS: dict[str, Any] = {"limit": 2, "scale": 1.5}
FACTOR = 3


def tensor(*values: float) -> Any:
    return jitorch.tensor([float(v) for v in values])


def values(x: Any) -> list[float]:
    return x.detach().numpy().tolist()


def test_globals_attributes_and_closures_that_change() -> None:
    offset = 1.0

    class Holder:
        step = 2

    holder = Holder()

    def f(x):
        if x[0] > SETTINGS["limit"]:
            y = x * FACTOR
        else:
            y = x + offset
        while y.sum() < 10:
            y = y + holder.step
        return y

    compiled = jitorch.jit(f, fullgraph=True)
    for change in (lambda: None, lambda: SETTINGS.update(limit=0), lambda: setattr(holder, "step", 5)):
        change()
        for x in (tensor(1, 2), tensor(3, 4), tensor(-9, 1)):
            assert values(compiled(x)) == values(f(x))
    globals()["FACTOR"] = 4
    offset = -0.5
    for x in (tensor(1, 2), tensor(3, 4), tensor(-9, 1)):
        assert values(compiled(x)) == values(f(x))
    globals()["FACTOR"] = 3
    SETTINGS["limit"] = 2


def test_a_failed_check_raises_what_python_raises_and_writes_nothing() -> None:
    log: list[Any] = []

    def f(x):
        log.append(x.sum().item())
        x += 1
        if x[0] > 100:
            raise KeyError("large")
        assert x[1] < 50, "second"
        return x * 2

    compiled = jitorch.jit(f, fullgraph=True)
    for first, second, error in ((1, 2, None), (1, 2, None), (200, 2, KeyError), (1, 70, AssertionError), (3, 4, None)):
        log.clear()
        x = tensor(first, second)
        if error is None:
            assert values(compiled(x)) == [2 * first + 2, 2 * second + 2]
        else:
            with pytest.raises(error) as caught:
                compiled(x)
            line = traceback.extract_tb(caught.value.__traceback__)[-1].line or ""
            assert line.startswith(("raise KeyError", "assert x[1]"))
        assert values(x) == [first + 1, second + 1]
        assert log == [first + second]
    assert compiled.statistics.traces == 1


def test_an_exception_that_is_caught_outside_of_the_branch() -> None:
    def f(x):
        try:
            if x[0] > 0:
                raise ValueError("positive")
            y = x * 2
        except ValueError:
            y = x * 3
        return y

    compiled = jitorch.jit(f, fullgraph=True)
    for x in (tensor(-1, 2), tensor(1, 2), tensor(-1, 2)):
        assert values(compiled(x)) == values(f(x))


def test_random_numbers_in_branches_and_loops() -> None:
    def f(x):
        y = x + jitorch.rand(2) if x[0] > 0 else x * jitorch.rand(2) + jitorch.randn(2)
        while y.sum() < 5:
            y = y + jitorch.rand(2)
        return y, jitorch.rand(1)

    compiled = jitorch.jit(f, fullgraph=True)
    for x in (tensor(1, 2), tensor(-1, 2), tensor(1, 0)):
        found = []
        for function in (compiled, f):
            jitorch.manual_seed(11)
            found.append([*function(x), jitorch.rand(3)])
        for a, b in zip(*found):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)


def test_writes_of_branches_are_seen_by_the_caller() -> None:
    class Model:
        def __init__(self):
            self.state, self.count, self.seen = tensor(0, 0), 0, {"x": None}

        def __call__(self, x):
            if x[0] > 0:
                self.state = self.state + x
                self.seen["x"] = x * 1
            else:
                self.seen["x"] = -x
            for _ in range(2):
                if x[1] > 0:
                    self.state = self.state * 2
            return self.state

    plain, other = Model(), Model()
    compiled = jitorch.jit(other, fullgraph=True)
    for x in (tensor(1, 2), tensor(-1, 2), tensor(1, -2), tensor(1, 2)):
        assert values(compiled(x)) == values(plain(x))
        assert values(other.state) == values(plain.state)
        assert values(other.seen["x"]) == values(plain.seen["x"])


def test_explain_lists_staged_statements_with_their_lines() -> None:
    @jit(fullgraph=True)
    def f(x):
        if x[0] > 0:
            x = x * 2
        while x.sum() < 10:
            x = x + 1
        if x[1] > 1e9:
            raise ValueError
        return x

    f(tensor(1, 2))
    text = f.explain()
    assert "a branch of the program: test_calls.py:" in text
    assert "a loop of the program: test_calls.py:" in text
    assert "a check, as one side raises ValueError: test_calls.py:" in text
    assert "if x[0] > 0:" in text
    assert "eagerly" not in text


def test_unroll() -> None:
    def body(x, loop):
        for i in loop(range(30)):
            x = (x * 0.5).sin() + (x + i).cos() * 0.1
        return x

    rolled = jitorch.jit(lambda x: body(x, lambda v: v), fullgraph=True)
    unrolled = jitorch.jit(lambda x: body(x, jit.unroll), fullgraph=True)
    x = tensor(1, 2)
    np.testing.assert_allclose(rolled(x).numpy(), unrolled(x).numpy(), rtol=1e-6)
    np.testing.assert_allclose(rolled(x).numpy(), body(x, jit.unroll).numpy(), rtol=1e-6)
    assert len(rolled.graph.nodes) < 10
    assert len(unrolled.graph.nodes) > 100


def test_a_loop_that_cannot_be_rolled_is_unrolled() -> None:
    def f(x):
        for i in range(20):
            x = x[: 40 - i] * 1.5 + x.sin()[: 40 - i] + len(f"{i}")
        return x

    compiled = jitorch.jit(f, fullgraph=True)
    x = jitorch.arange(40, dtype=jitorch.float64) / 40
    np.testing.assert_allclose(compiled(x).numpy(), f(x).numpy(), rtol=1e-9)


def test_a_loop_over_a_symbolic_size() -> None:
    def f(x, h):
        for t in range(x.shape[0]):
            h = jitorch.tanh(h * 0.5 + x[t]) + h * 0.1
        return h

    compiled = jitorch.jit(f, fullgraph=True)
    for n in (20, 25, 30, 2, 1, 0, 40):
        x, h = jitorch.ones(n, 3) * 0.3, jitorch.ones(3)
        np.testing.assert_allclose(compiled(x, h).numpy(), f(x, h).numpy(), rtol=1e-5)
    assert compiled.statistics.traces <= 4


def test_checks_hold_with_gradients_too() -> None:
    def f(x):
        if x[0] > 0:
            assert x[1] < 100, "large"
            x = x * 2
        return x * x

    compiled = jitorch.jit(f, fullgraph=True)
    x = jitorch.tensor([1.0, 2.0], requires_grad=True)
    compiled(x).sum().backward()
    assert values(x.grad) == [8, 16]
    with pytest.raises(AssertionError, match="large"):
        compiled(jitorch.tensor([1.0, 200.0], requires_grad=True))
    assert compiled(jitorch.tensor([-1.0, 200.0], requires_grad=True)).requires_grad
