"""Padding, limits and frequencies of table lookup."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch.errors import DTypeError, ShapeError, TensorIndexError, ValueRangeError
from jitorch.nn import functional as F

TABLE = np.random.default_rng(0).normal(size=(6, 3))
INDEX = np.array([[0, 2, 2], [5, 1, 2]])


@pytest.mark.parametrize(
    "options", [{}, {"padding_idx": 2}, {"padding_idx": -1}, {"scale_grad_by_freq": True}, {"max_norm": 0.5}]
)
def test_gradients_and_limits(options: dict[str, Any]) -> None:
    table, other = jitorch.tensor(TABLE).requires_grad_(), torch.tensor(TABLE).requires_grad_()
    out = F.embedding(jitorch.tensor(INDEX), table, **options)
    expected = torch.nn.functional.embedding(torch.tensor(INDEX), other, **options)
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), atol=1e-7)
    np.testing.assert_allclose(table.detach().numpy(), other.detach().numpy(), atol=1e-7)
    out.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(table.grad.numpy(), other.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("index", [6, -1, -7])
def test_out_of_range(index: int) -> None:
    with pytest.raises(TensorIndexError):
        F.embedding(jitorch.tensor([index]), jitorch.tensor(TABLE))


def test_one_hot() -> None:
    assert F.one_hot(jitorch.tensor([1, 0])).tolist() == [[0, 1], [1, 0]]
    assert F.one_hot(jitorch.tensor(2), 4).tolist() == [0, 0, 1, 0]
    assert F.one_hot(jitorch.zeros(0, 2, dtype=jitorch.int64), 3).shape == (0, 2, 3)
    for index, classes in ((jitorch.tensor([3]), 3), (jitorch.tensor([-1]), 3), (jitorch.tensor([0]), 0)):
        with pytest.raises(ValueRangeError):
            F.one_hot(index, classes)


def test_empty_bags_are_zero() -> None:
    table, offsets = jitorch.tensor(TABLE), jitorch.tensor([0, 2, 2])
    for mode in ("sum", "mean", "max"):
        out = F.embedding_bag(jitorch.tensor([0, 1, 3]), table, offsets, mode=mode)
        assert jitorch.equal(out[1], jitorch.zeros(3, dtype=jitorch.float64))


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (DTypeError, lambda: F.embedding(jitorch.tensor([0.0]), jitorch.tensor(TABLE))),
        (ShapeError, lambda: F.embedding(jitorch.tensor([0]), jitorch.ones(3))),
        (ValueRangeError, lambda: F.embedding(jitorch.tensor([0]), jitorch.tensor(TABLE), padding_idx=6)),
        (ValueRangeError, lambda: F.embedding_bag(jitorch.tensor([[0]]), jitorch.tensor(TABLE), mode="min")),
    ],
)
def test_refused(error: Any, call: Any) -> None:
    with pytest.raises(error):
        call()
