"""The same training run in both libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import jitorch
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
