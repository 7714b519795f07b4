"""`@jit(tune=True)`: what is measured, what is kept, and that nothing else can be seen of it.

No clock is read but in the tests of the clock: times are put in the place of measured ones.
"""

from __future__ import annotations

import contextvars
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import config, nn
from jitorch.frontend import tuning
from jitorch.frontend.tuning import Choice


@pytest.fixture(autouse=True)
def kept(tmp_path: Path) -> Iterator[None]:
    with config.override(cache=True, cache_dir=tmp_path / "cache"):
        yield


class Clock:
    """Says what each way takes, and counts how often it is asked; runs each way once, as a clock would."""

    def __init__(self, compiled: float, op_by_op: float):
        self.times, self.asked = [compiled, op_by_op], 0

    def __call__(self, ways: Any) -> list[float]:
        self.asked += 1
        for prepare, run in ways:
            prepare()
            run()
        return self.times


@pytest.fixture
def slow_program(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(compiled=3e-3, op_by_op=1e-3)
    monkeypatch.setattr(tuning, "measure", clock)
    return clock


@pytest.fixture
def fast_program(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(compiled=1e-3, op_by_op=3e-3)
    monkeypatch.setattr(tuning, "measure", clock)
    return clock


def scaled_sum(x):
    return (x.sin() * 2).sum(0)


def backends(compiled: Any) -> list[str]:
    return [step.artifact.backend for e in compiled.entries for c in e.function.compiled for step in c.steps]


X = jitorch.tensor([[1.0, 2.0], [3.0, 4.0]])


def test_without_tune_nothing_is_measured(slow_program: Clock) -> None:
    f = jitorch.jit(scaled_sum)
    f(X)
    assert slow_program.asked == 0
    assert backends(f) == ["cpu"]
    assert "tuned" not in f.explain()


@pytest.mark.parametrize("way", ["slow_program", "fast_program"])
def test_the_faster_way_is_used_from_the_first_call_on(way: str, request: pytest.FixtureRequest) -> None:
    clock = request.getfixturevalue(way)
    f = jitorch.jit(scaled_sum, tune=True)
    for _ in range(4):
        np.testing.assert_allclose(f(X).numpy(), scaled_sum(X).numpy(), rtol=1e-6)
    assert clock.asked == 1
    assert backends(f) == ["reference" if way == "slow_program" else "cpu"]
    assert f.statistics.calls == 4
    assert f.statistics.native == (0 if way == "slow_program" else 4)


def test_each_signature_has_its_choice(slow_program: Clock) -> None:
    f = jitorch.jit(scaled_sum, tune=True, dynamic=False)
    f(X)
    slow_program.times = [1e-3, 3e-3]
    f(X[:1])
    f(X)
    assert slow_program.asked == 2
    assert [entry.choice.is_compiled for entry in reversed(f.entries)] == [False, True]


def scripted_sum(x: jitorch.Tensor) -> jitorch.Tensor:
    return (x.sin() * 2).sum(0)


class Summing(nn.Module):
    def forward(self, x: jitorch.Tensor) -> jitorch.Tensor:
        return (x.sin() * 2).sum(0)


@pytest.mark.parametrize("made", [scripted_sum, Summing()], ids=["function", "module"])
def test_scripts_are_tuned(made: Any, slow_program: Clock) -> None:
    untuned = jitorch.jit.script(made)
    np.testing.assert_allclose(untuned(X).numpy(), scripted_sum(X).numpy(), rtol=1e-6)
    assert slow_program.asked == 0
    f = jitorch.jit.script(made, tune=True)
    for _ in range(3):
        np.testing.assert_allclose(f(X).numpy(), scripted_sum(X).numpy(), rtol=1e-6)
    assert slow_program.asked == 1
    assert backends(f.forward if isinstance(made, nn.Module) else f) == ["reference"]


def test_what_takes_about_as_long_stays_compiled() -> None:
    assert Choice.of(1.0, 0.96).is_compiled
    assert not Choice.of(1.0, 0.94).is_compiled


def test_another_function_of_the_same_program_reads_the_choice(slow_program: Clock) -> None:
    jitorch.jit(scaled_sum, tune=True)(X)
    again = jitorch.jit(scaled_sum, tune=True)
    again(X)
    assert slow_program.asked == 1
    assert backends(again) == ["reference"]


def test_the_choice_depends_on_the_number_of_threads(slow_program: Clock) -> None:
    jitorch.jit(scaled_sum, tune=True)(X)
    with config.override(num_threads=1):
        jitorch.jit(scaled_sum, tune=True)(X)
    assert slow_program.asked == 2


def test_a_recalled_trace_reads_the_choice(slow_program: Clock) -> None:
    with config.override(records=True):
        jitorch.jit(scaled_sum, tune=True)(X)
        again = jitorch.jit(scaled_sum, tune=True)
        np.testing.assert_allclose(again(X).numpy(), scaled_sum(X).numpy(), rtol=1e-6)
        untuned = jitorch.jit(scaled_sum)
        untuned(X)
    assert (again.statistics.recalled, untuned.statistics.recalled) == (1, 1)
    assert slow_program.asked == 1
    assert backends(again) == ["reference"]
    assert backends(untuned) == ["cpu"]


def test_without_a_cache_the_choice_is_in_memory(slow_program: Clock) -> None:
    with config.override(cache=False):
        f = jitorch.jit(scaled_sum, tune=True)
        f(X)
        f(X)
    assert slow_program.asked == 1
    assert backends(f) == ["reference"]


@pytest.mark.parametrize("way", ["slow_program", "fast_program"])
def test_no_argument_is_touched_but_by_the_call(way: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(way)

    def accumulate(state, x):
        state.add_(x)
        return state * 2

    f = jitorch.jit(accumulate, tune=True)
    state, version = jitorch.zeros(2, 2), None
    for n in (1, 2, 3):
        f(state, X)
        assert state.tolist() == (n * X).tolist()
        version = state._version if version is None else version
    assert state._version == version + 2


@pytest.mark.parametrize("way", ["slow_program", "fast_program"])
def test_random_numbers_go_on_as_if_nothing_was_measured(way: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(way)

    def noisy(x):
        return x + jitorch.rand(2, 2)

    f = jitorch.jit(noisy, tune=True)
    jitorch.manual_seed(5)
    expected = [noisy(X).tolist() for _ in range(3)]
    jitorch.manual_seed(5)
    assert [f(X).tolist() for _ in range(3)] == expected


@pytest.mark.parametrize("way", ["slow_program", "fast_program"])
def test_gradients(way: str, request: pytest.FixtureRequest) -> None:
    clock = request.getfixturevalue(way)
    x = X.clone().requires_grad_()
    f = jitorch.jit(lambda x: (x.sin() * 2).sum(), tune=True)
    for _ in range(2):
        x.grad = None
        f(x).backward()
        np.testing.assert_allclose(x.grad.numpy(), 2 * np.cos(X.numpy()), rtol=1e-6)
    assert clock.asked == 1
    assert set(backends(f)) == {"reference" if way == "slow_program" else "cpu"}


@pytest.mark.parametrize("way", ["slow_program", "fast_program"])
def test_a_training_step(way: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(way)

    def train(tuned: bool) -> list[float]:
        jitorch.manual_seed(0)
        model = nn.Linear(2, 1)
        optimizer = jitorch.optim.Adam(model.parameters())

        def step(x):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        step = jitorch.jit(step, tune=True) if tuned else step
        return [step(X).item() for _ in range(4)]

    np.testing.assert_allclose(train(True), train(False), rtol=1e-5)


def test_a_call_that_fails_fails_as_ever_and_chooses_nothing(slow_program: Clock) -> None:
    @jitorch.jit(tune=True)
    def positive(x):
        assert x.sum() > 0, "not positive"
        return x * 2

    with pytest.raises(AssertionError, match="not positive"):
        positive(-X)
    np.testing.assert_array_equal(positive(X).numpy(), 2 * X.numpy())


def test_threads_measure_once(slow_program: Clock) -> None:
    f = jitorch.jit(scaled_sum, tune=True)
    results: list[Any] = []

    def call() -> None:
        results.append(f(X).tolist())

    # Each has the cache of this test.
    threads = [threading.Thread(target=contextvars.copy_context().run, args=(call,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert slow_program.asked == 1
    assert results == [results[0]] * 8


def test_under_a_transform_nothing_is_measured(slow_program: Clock) -> None:
    f = jitorch.jit(scaled_sum, tune=True)
    jitorch.func.vmap(f)(jitorch.stack([X, X]))
    assert slow_program.asked == 0
    f(X)
    assert slow_program.asked == 1


def test_explain_says_both_times_and_where_they_come_from(slow_program: Clock) -> None:
    f = jitorch.jit(scaled_sum, tune=True)
    f(X)
    g = jitorch.jit(lambda x: x.cos().sum(0), tune=True)
    slow_program.times = [2.5e-7, 1e-5]
    g(X)
    where = r"\(tuned on .+, \d+ threads, \d{4}-\d\d-\d\d\)$"
    assert re.search(rf"^  runs op by op: 1 ms; compiled: 3 ms {where}", f.explain(), re.MULTILINE)
    assert re.search(rf"^  runs compiled: 250 ns; op by op: 10 us {where}", g.explain(), re.MULTILINE)


def test_the_clock_takes_each_way_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    order: list[str] = []

    def way(name: str, seconds: float) -> tuple[Any, Any]:
        def run() -> None:
            nonlocal now
            now += seconds
            order.append(name)

        return (lambda: order.append(f"prepare {name}")), run

    monkeypatch.setattr(tuning, "time", SimpleNamespace(perf_counter=lambda: now))
    assert tuning.medians([way("a", 1 / 256), way("b", 1 / 512)]) == [1 / 256, 1 / 512]
    assert order == ["prepare a", "a", "prepare b", "b"] * (1 + tuning.ROUNDS)
    order.clear()
    assert tuning.medians([way("a", 3.0)]) == [3.0]
    assert order == ["prepare a", "a"] * 2


@pytest.mark.parametrize("way", ["slow_program", "fast_program"])
def test_donated_arguments(way: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(way)

    @jitorch.jit(tune=True, donate="state")
    def step(state, x):
        return state + x

    state = jitorch.zeros(2, 2)
    for n in (1, 2, 3):
        state = step(state, X)
        assert state.tolist() == (n * X).tolist()


@pytest.mark.parametrize("way", ["slow_program", "fast_program"])
def test_symbolic_sizes(way: str, request: pytest.FixtureRequest) -> None:
    clock = request.getfixturevalue(way)
    f = jitorch.jit(scaled_sum, tune=True, dynamic=True)
    for rows in (3, 4, 5):
        x = jitorch.ones(rows, 2)
        np.testing.assert_allclose(f(x).numpy(), scaled_sum(x).numpy(), rtol=1e-6)
    assert (f.statistics.traces, clock.asked) == (1, 1)


@pytest.mark.parametrize("way", ["slow_program", "fast_program"])
def test_a_gradient_inside_where_none_is_recorded_outside(way: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(way)

    @jitorch.jit(tune=True)
    def f(x):
        with jitorch.enable_grad():
            return (x.sin() * 2).sum()

    x = X.clone().requires_grad_()
    with jitorch.no_grad():
        results = [f(x) for _ in range(3)]
    assert [r.requires_grad for r in results] == [True] * 3
    results[-1].backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.cos(X.numpy()), rtol=1e-6)
