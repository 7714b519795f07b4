"""The same training run in both libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import jitorch
from jitorch import nn, optim
from jitorch.jit import jit
from tests.nn.oracle import array, numbers

STEPS = 10


def run(lib: Any, name: str, options: dict[str, Any], dtype: str) -> list[np.ndarray]:
    """The two parameters of a small regression after every step."""
    real = getattr(lib, dtype)
    weight = lib.nn.Parameter(lib.tensor(numbers(3, 2)).to(real))
    bias = lib.nn.Parameter(lib.tensor(numbers(2, seed=1)).to(real))
    x, y = lib.tensor(numbers(8, 3, seed=2)).to(real), lib.tensor(numbers(8, 2, seed=3)).to(real)
    optimizer = getattr(lib.optim, name)([{"params": [weight]}, {"params": [bias], "lr": 0.03}], **options)
    seen = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        ((x @ weight + bias - y) ** 2).mean().backward()
        optimizer.step()
        seen += [array(weight), array(bias)]
    return seen


def check_trajectory(name: str, options: dict[str, Any]) -> None:
    """Equal in float64 to rounding; in float32 to a few of its roundings."""
    for dtype, tolerance in (("float64", 1e-11), ("float32", 2e-5)):
        mine, reference = run(jitorch, name, options, dtype), run(torch, name, options, dtype)
        for step, (a, b) in enumerate(zip(mine, reference, strict=True)):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"{dtype}, step {step // 2}")


def _fit(name: str, options: dict[str, Any], compiled: bool) -> tuple[list[np.ndarray], Any]:
    """Parameters after each step of a training whose rate changes from step to step, and the step function."""
    weight, bias = nn.Parameter(jitorch.tensor(numbers(3, 2))), nn.Parameter(jitorch.tensor(numbers(2, seed=1)))
    optimizer = getattr(optim, name)([weight, bias], **options)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.8)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = ((x @ weight + bias - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    run_step = jit(step, fullgraph=True) if compiled else step
    seen = []
    for seed in range(6):
        loss = run_step(jitorch.tensor(numbers(8, 3, seed=seed)), jitorch.tensor(numbers(8, 2, seed=seed + 50)))
        scheduler.step()
        seen += [array(loss), array(weight), array(bias)]
    return seen, run_step


def check_jitted(name: str, options: dict[str, Any]) -> None:
    """A jitted step does what the plain one does, and is compiled at most twice: with and without gradients."""
    expected, _ = _fit(name, options, compiled=False)
    actual, step = _fit(name, options, compiled=True)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    assert step.statistics.compiled <= 2
    assert step.statistics.eager == 0
