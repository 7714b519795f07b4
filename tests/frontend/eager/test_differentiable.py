"""Programs of views, writes and gradients under `jit`: equal to eager, or refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import errors
from tests.frontend.eager.test_tape import check_equal, outcome
from tests.frontend.programs import PROGRAMS, W, X

REFUSED = {
    "copy_becomes_a_leaf": "requires_grad_",
    "detached_copy_becomes_a_leaf": "requires_grad_",
    "hooks_of_an_intermediate_and_a_leaf": "a hook",
    "hook_stays_with_the_history_it_was_put_on": "a hook",
    "gradient_that_a_hook_saw_does_not_change": "a hook",
}
"""What a compiled function does not take, and a part of the reason."""

NEVER_STALE = {"saved_operand_is_overwritten", "saved_result_is_overwritten", "saved_view_is_overwritten"}
"""Refused by eager; a compiled function keeps the values that its gradient needs."""


@pytest.mark.parametrize("name", [n for n in PROGRAMS if n not in REFUSED and n not in NEVER_STALE])
def test_compiled_is_eager(name: str) -> None:
    program = PROGRAMS[name]
    compiled = jitorch.jit(lambda x, w: program(jitorch, x, w), fullgraph=True)
    eager = outcome(jitorch, lambda x, w: program(jitorch, x, w))
    for _ in range(2):
        check_equal(outcome(jitorch, compiled), eager)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    program = PROGRAMS[name]
    compiled = jitorch.jit(lambda x, w: program(jitorch, x, w), fullgraph=True)
    with pytest.raises(errors.StagingError, match=REFUSED[name]) as caught:
        compiled(jitorch.from_numpy(X.copy()), jitorch.from_numpy(W.copy()).requires_grad_())
    assert caught.value.where is not None
    assert caught.value.where.file.endswith("programs.py")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_runs_eagerly(name: str) -> None:
    program = PROGRAMS[name]
    compiled = jitorch.jit(lambda x, w: program(jitorch, x, w))
    with pytest.warns(RuntimeWarning, match=REFUSED[name]):
        got = outcome(jitorch, compiled)
    check_equal(got, outcome(jitorch, lambda x, w: program(jitorch, x, w)))


@pytest.mark.parametrize("name", sorted(NEVER_STALE))
def test_saved_values_are_never_stale(name: str) -> None:
    program = PROGRAMS[name]
    compiled = outcome(jitorch, jitorch.jit(lambda x, w: program(jitorch, x, w), fullgraph=True))
    assert compiled is not None
    assert outcome(jitorch, lambda x, w: program(jitorch, x, w)) is None
    step = 1e-3
    for i in np.ndindex(W.shape):
        high, low = (jitorch.from_numpy(W.copy()) for _ in range(2))
        high[i] += step
        low[i] -= step
        x = jitorch.from_numpy(X)
        slope = (program(jitorch, x, high).item() - program(jitorch, x, low).item()) / (2 * step)
        assert compiled["grad"][i] == pytest.approx(slope, rel=1e-2, abs=1e-2)


def test_a_used_up_graph_refuses_a_second_backward() -> None:
    w = jitorch.ones(3, requires_grad=True)
    loss = jitorch.jit(lambda w: (w * w).sum(), fullgraph=True)(w)
    loss.backward()
    with pytest.raises(errors.AutogradError, match="second time"):
        loss.backward()


def test_a_graph_used_up_inside_refuses_a_backward_outside() -> None:
    w = jitorch.ones(3, requires_grad=True)

    @jitorch.jit(fullgraph=True)
    def step(w):
        loss = (w * w).sum()
        loss.backward()
        return loss

    loss = step(w)
    assert loss.requires_grad
    with pytest.raises(errors.AutogradError, match="second time"):
        loss.backward()


def test_a_retained_graph_runs_again() -> None:
    w = jitorch.ones(3, requires_grad=True)
    loss = jitorch.jit(lambda w: (w * w * w).sum(), fullgraph=True)(w)
    loss.backward(retain_graph=True)
    loss.backward()
    np.testing.assert_array_equal(w.grad.numpy(), [6, 6, 6])


def test_only_gradients_that_are_wanted_are_computed() -> None:
    f = jitorch.jit(lambda x, w: (x * w).sum(), fullgraph=True)
    x, w = jitorch.ones(3), jitorch.ones(3, requires_grad=True)
    f(x, w).backward()
    assert x.grad is None
    np.testing.assert_array_equal(w.grad.numpy(), [1, 1, 1])


def raises_in_a_branch(x):
    if bool((x < 0).any()):
        raise ValueError("negative")
    return x.sqrt()


def asserts_in_a_loop(x):
    steps = 0
    while bool(x.sum() < 20):
        x = x * 2
        steps += 1
        assert bool(x.max() > 0), "never ends"
    return x * x


@pytest.mark.parametrize("function", [raises_in_a_branch, asserts_in_a_loop])
@pytest.mark.parametrize("wants_gradient", [False, True])
def test_a_check_fails_whether_or_not_gradients_are_wanted(function, wants_gradient):
    compiled = jitorch.jit(function, fullgraph=True)
    for value in (0.5, -0.5, 0.75, -1.0):
        x = jitorch.full((3,), value, requires_grad=wants_gradient)
        if value > 0:
            assert jitorch.allclose(compiled(x), function(x))
            continue
        with pytest.raises((ValueError, AssertionError)) as expected:
            function(x)
        with pytest.raises(expected.type):
            compiled(x)
