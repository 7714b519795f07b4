"""Checkpoints give what plain calls give, keep only inputs, and run their function again."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import autograd, func, nn
from jitorch.errors import ArgumentError, AutogradError
from jitorch.utils.checkpoint import checkpoint, checkpoint_sequential


def network() -> Any:
    jitorch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2)
    ).double()  # fmt: skip


def inputs() -> Any:
    return jitorch.tensor(np.random.default_rng(0).normal(size=(3, 4))).requires_grad_()


def gradients(model: Any, x: Any, function: Any) -> list[Any]:
    jitorch.manual_seed(3)
    for t in (x, *model.parameters()):
        t.grad = None
    function(x).pow(2).sum().backward()
    following = jitorch.rand(()).item()
    return [following, *(t.grad.numpy().copy() for t in (x, *model.parameters()))]


WAYS: dict[str, Any] = {
    "one": lambda model: lambda x: checkpoint(model, x),
    "reentrant": lambda model: lambda x: checkpoint(model, x, use_reentrant=True),
    "nested": lambda model: lambda x: checkpoint(lambda y: checkpoint(model, y), x),
    "in three parts": lambda model: lambda x: checkpoint_sequential(model, 3, x),
    "compiled": lambda model: jitorch.jit(lambda x: checkpoint(model, x), fullgraph=True),
    "compiled in parts": lambda model: jitorch.jit(lambda x: checkpoint_sequential(model, 3, x), fullgraph=True),
    "around compiled code": lambda model: lambda x: checkpoint(jitorch.jit(model, fullgraph=True), x),
}


@pytest.mark.parametrize("way", WAYS)
def test_gradients_and_random_values_are_those_of_the_plain_call(way: str) -> None:
    model, x = network(), inputs()
    expected = gradients(model, x, model)
    for found, known in zip(gradients(model, x, WAYS[way](model)), expected, strict=True):
        np.testing.assert_allclose(found, known, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("way", [w for w in WAYS if w != "nested"])
def test_second_order(way: str) -> None:
    model, x = network().eval(), inputs()

    def second(function: Any) -> Any:
        (g,) = autograd.grad(function(x).pow(2).sum(), x, create_graph=True)
        return autograd.grad(g.pow(2).sum(), [x, *model.parameters()], allow_unused=True)

    for found, known in zip(second(WAYS[way](model)), second(model)):
        assert (found is None) is (known is None)
        if known is not None:
            np.testing.assert_allclose(found.numpy(), known.numpy(), rtol=1e-9, atol=1e-14)


def test_a_training_step_in_one_program() -> None:
    model, x = network(), inputs().detach()

    def step(x: Any, run: Any) -> Any:
        for p in model.parameters():
            p.grad = None
        loss = run(x).pow(2).sum()
        loss.backward()
        return loss

    jitorch.manual_seed(3)
    expected = step(x, model).item(), [p.grad.numpy().copy() for p in model.parameters()]
    jitorch.manual_seed(3)
    compiled = jitorch.jit(lambda x: step(x, lambda y: checkpoint(model, y)), fullgraph=True)
    np.testing.assert_allclose(compiled(x).item(), expected[0])
    for p, known in zip(model.parameters(), expected[1]):
        np.testing.assert_allclose(p.grad.numpy(), known, rtol=1e-12, atol=1e-14)
    names = [n.op.name for n in compiled.entries[0].traced.graph.nodes]
    assert "recomputed" in names
    assert "after" in names


def test_in_transforms() -> None:
    model, x = network().eval(), inputs().detach()

    def both(run: Any) -> list[Any]:
        return [func.vmap(func.grad(lambda r: run(r).sum()))(x), func.jvp(run, (x,), (x,))[1], func.vmap(run)(x)]

    kept = lambda r: checkpoint(model, r)  # noqa: E731
    compiled = jitorch.jit(lambda: both(kept), fullgraph=True)()
    for found, again, known in zip(both(kept), compiled, both(model)):
        np.testing.assert_allclose(found.detach().numpy(), known.detach().numpy(), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(again.detach().numpy(), known.detach().numpy(), rtol=1e-12, atol=1e-14)


def test_what_lies_between_is_not_kept() -> None:
    between: list[Any] = []

    def function(x: Any) -> Any:
        y = x.exp()
        between.append(weakref.ref(y))
        return (y * y).sin()

    x = inputs()
    plain, kept = function(x), checkpoint(function, x)
    gc.collect()
    alive = [r() is not None for r in between]
    assert alive == [True, False]
    kept.sum().backward()
    assert len(between) == 3
    del plain


def test_a_compiled_forward_keeps_the_inputs_only() -> None:
    model, x = network().eval(), inputs()
    compiled = jitorch.jit(lambda x: checkpoint(model, x), fullgraph=True)
    compiled(x)
    (pair,) = compiled.entries[0].function.pairs
    assert {kind for kind, _ in pair.sources} == {"input", "grad"}
    assert len(pair.forward.graph.outputs) == 1


def test_retained_and_released() -> None:
    x = inputs()
    y = checkpoint(lambda t: (t.exp() * t).sin(), x).sum()
    y.backward(retain_graph=True)
    once = x.grad.numpy().copy()
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * once)
    with pytest.raises(AutogradError, match="a second time"):
        y.backward()


def test_arguments_in_trees_and_keywords_and_results_that_are_no_tensors() -> None:
    def function(pair: Any, *, scale: Any, name: str) -> Any:
        return {"y": pair[0] * pair[1] * scale}, name

    x, w = inputs(), inputs()
    scale = jitorch.tensor(2.0, dtype=jitorch.float64)
    for run in (checkpoint, jitorch.jit(checkpoint, fullgraph=True)):
        out, name = run(function, (x, w), scale=scale, name="kept")
        assert name == "kept"
        (g,) = autograd.grad(out["y"].sum(), w)
        np.testing.assert_allclose(g.numpy(), 2 * x.detach().numpy())


def test_without_gradients_it_is_the_call() -> None:
    calls: list[int] = []

    def function(x: Any) -> Any:
        calls.append(1)
        return x * 2

    with jitorch.no_grad():
        assert not checkpoint(function, inputs()).requires_grad
    assert not checkpoint(function, inputs().detach()).requires_grad
    assert len(calls) == 2


def test_a_function_that_does_something_else_the_second_time() -> None:
    calls: list[int] = []

    def function(x: Any) -> Any:
        calls.append(1)
        return x.exp() if len(calls) == 1 else x.exp().sin()

    y = checkpoint(function, inputs()).sum()
    with pytest.raises(AutogradError, match="something else"):
        y.backward()


def test_an_argument_that_was_overwritten() -> None:
    x = inputs().detach()
    w = inputs()
    y = checkpoint(lambda x, w: (x * w).exp(), x, w).sum()
    x.mul_(2)
    with pytest.raises(AutogradError, match="modified by an in-place operation"):
        y.backward()


def test_wrong_arguments() -> None:
    with pytest.raises(ArgumentError, match="determinism_check"):
        checkpoint(lambda x: x, inputs(), determinism_check="some")
    with pytest.raises(ArgumentError, match="segments"):
        checkpoint_sequential([nn.Tanh()], 2, inputs())


def test_contexts_of_both_runs() -> None:
    entered: list[str] = []

    class Noting:
        def __init__(self, name: str):
            self.name = name

        def __enter__(self) -> None:
            entered.append(self.name)

        def __exit__(self, *exc: object) -> None:
            entered.append(f"after {self.name}")

    y = checkpoint(lambda x: x.exp(), inputs(), context_fn=lambda: (Noting("first"), Noting("second")))
    assert entered == ["first", "after first"]
    y.sum().backward()
    assert entered == ["first", "after first", "second", "after second"]
