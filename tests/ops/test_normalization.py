"""Running statistics, and what normalisation refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch.errors import ArgumentError, ShapeError, ValueRangeError
from jitorch.nn import functional as F


def pair(*shape: int, seed: int = 0) -> tuple[jitorch.Tensor, torch.Tensor]:
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return jitorch.tensor(values), torch.tensor(values)


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
@pytest.mark.parametrize("momentum", [0.1, 1.0])
def test_running_statistics_move(name: str, momentum: float) -> None:
    (x, y), (mean, mean2) = pair(4, 3, 5), pair(3, seed=1)
    var, var2 = jitorch.ones(3), torch.ones(3)
    own, reference = getattr(F, name), getattr(torch.nn.functional, name)
    switch = {"training": True} if name == "batch_norm" else {"use_input_stats": True}
    before = mean._version
    out = own(x, mean, var, momentum=momentum, **switch)
    expected = reference(y, mean2, var2, momentum=momentum, **switch)
    for a, b in ((out, expected), (mean, mean2), (var, var2)):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=1e-6)
    assert mean._version > before


def test_statistics_are_no_part_of_the_gradient() -> None:
    (x, _), mean, var = pair(4, 3), jitorch.zeros(3), jitorch.ones(3)
    out = F.batch_norm(x.requires_grad_(), mean, var, training=True)
    assert not mean.requires_grad and not var.requires_grad
    out.sum().backward()
    assert x.grad.abs().max().item() < 1e-5


def test_halves_are_computed_in_single_precision() -> None:
    x = (jitorch.ones(1, 1000) * 300).to(jitorch.float16)
    x[0, 0] = 301.0
    # The square of 300 does not fit into a half.
    assert F.layer_norm(x, [1000]).isfinite().all()
    assert F.layer_norm(x, [1000]).dtype is jitorch.float16


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ShapeError, lambda: F.layer_norm(jitorch.ones(2, 3), [4])),
        (ArgumentError, lambda: F.layer_norm(jitorch.ones(2, 3), 3)),
        (ShapeError, lambda: F.group_norm(jitorch.ones(2, 3), 2)),
        (ShapeError, lambda: F.batch_norm(jitorch.ones(3), None, None, training=True)),
        (ShapeError, lambda: F.batch_norm(jitorch.ones(2, 3), jitorch.ones(2), jitorch.ones(2))),
        (ArgumentError, lambda: F.batch_norm(jitorch.ones(2, 3), None, None)),
        (ValueRangeError, lambda: F.batch_norm(jitorch.ones(1, 3), None, None, training=True)),
        (ValueRangeError, lambda: F.instance_norm(jitorch.ones(2, 3, 1))),
    ],
)
def test_refused(error: Any, call: Any) -> None:
    with pytest.raises(error):
        call()
