"""Losses: older arguments, ignored classes, limits, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch.errors import DTypeError, ShapeError, TensorIndexError, ValueRangeError
from jitorch.nn import functional as F


@pytest.mark.parametrize(
    ("older", "reduction"),
    [((None, None), "mean"), ((False, None), "sum"), ((True, True), "mean"), ((True, False), "none")],
)
def test_older_spelling_of_the_reduction(older: tuple[Any, Any], reduction: str) -> None:
    x, y = jitorch.randn(2, 3), jitorch.randn(2, 3)
    assert jitorch.equal(F.mse_loss(x, y, *older), F.mse_loss(x, y, reduction=reduction))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ignored_and_weighted_classes(smoothing: float, reduction: str) -> None:
    rng = np.random.default_rng(0)
    logits, weight = rng.normal(size=(6, 4)), rng.uniform(size=4)
    target = np.array([0, 3, 2, 2, 1, 2])
    options = {"ignore_index": 2, "label_smoothing": smoothing, "reduction": reduction}
    x, y = jitorch.tensor(logits).requires_grad_(), torch.tensor(logits).requires_grad_()
    loss = F.cross_entropy(x, jitorch.tensor(target), jitorch.tensor(weight), **options)
    expected = torch.nn.functional.cross_entropy(y, torch.tensor(target), torch.tensor(weight), **options)
    np.testing.assert_allclose(loss.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    loss.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), atol=1e-12)
    assert jitorch.equal(x.grad[2], jitorch.zeros(4, dtype=jitorch.float64))


def test_everything_ignored() -> None:
    logits, target = jitorch.randn(3, 4), jitorch.full((3,), -100)
    assert F.cross_entropy(logits, target, reduction="sum").item() == 0.0
    assert F.cross_entropy(logits, target).isnan()


def test_large_logits_stay_finite() -> None:
    logits = jitorch.tensor([[1e4, -1e4]]).requires_grad_()
    F.cross_entropy(logits, jitorch.tensor([1])).backward()
    assert logits.grad.isfinite().all()
    x = jitorch.tensor([1e4, -1e4]).requires_grad_()
    F.binary_cross_entropy_with_logits(x, jitorch.tensor([0.0, 1.0])).backward()
    assert x.grad.tolist() == [0.5, -0.5]


def test_certain_and_wrong_costs_a_hundred() -> None:
    p = jitorch.tensor([0.0, 1.0])
    assert F.binary_cross_entropy(p, 1 - p, reduction="none").tolist() == [100.0, 100.0]
    assert F.binary_cross_entropy(p, p).item() == 0.0


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (TensorIndexError, lambda: F.nll_loss(jitorch.ones(2, 3), jitorch.tensor([0, 3]))),
        (TensorIndexError, lambda: F.cross_entropy(jitorch.ones(2, 3), jitorch.tensor([0, -1]))),
        (ShapeError, lambda: F.cross_entropy(jitorch.ones(2, 3), jitorch.tensor([0]))),
        (ShapeError, lambda: F.cross_entropy(jitorch.ones(2, 3), jitorch.ones(2, 4))),
        (ShapeError, lambda: F.nll_loss(jitorch.ones(2, 3), jitorch.tensor([0, 1]), jitorch.ones(2))),
        (DTypeError, lambda: F.nll_loss(jitorch.ones(2, 3), jitorch.tensor([0.0, 1.0]))),
        (ValueRangeError, lambda: F.mse_loss(jitorch.ones(2), jitorch.ones(2), reduction="max")),
        (ValueRangeError, lambda: F.cross_entropy(jitorch.ones(1, 2), jitorch.tensor([0]), label_smoothing=2.0)),
        (ValueRangeError, lambda: F.binary_cross_entropy(jitorch.tensor([2.0]), jitorch.tensor([1.0]))),
        (ShapeError, lambda: F.binary_cross_entropy(jitorch.tensor([0.5]), jitorch.tensor([1.0, 0.0]))),
        (ValueRangeError, lambda: F.huber_loss(jitorch.ones(2), jitorch.ones(2), delta=0.0)),
        (ValueRangeError, lambda: F.gaussian_nll_loss(jitorch.ones(2), jitorch.ones(2), -jitorch.ones(2))),
        (ValueRangeError, lambda: F.triplet_margin_loss(*[jitorch.ones(2, 2)] * 3, margin=-1.0)),
        (ShapeError, lambda: F.cosine_embedding_loss(jitorch.ones(2), jitorch.ones(2), jitorch.ones(2))),
    ],
)
def test_refused(error: Any, call: Any) -> None:
    with pytest.raises(error):
        call()
