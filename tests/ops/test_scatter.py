"""Scatter and index families: in place, reductions, limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jitorch
from jitorch.errors import DTypeError, ShapeError, TensorIndexError, ValueRangeError


@given(
    st.sampled_from(["sum", "prod", "mean", "amax", "amin"]), st.booleans(), st.integers(0, 1), st.integers(0, 10**6)
)
def test_scatter_reduce(how: str, include: bool, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Zeros and ties on purpose.
    x, y = rng.integers(-1, 3, size=(3, 4)).astype(float), rng.integers(-1, 3, size=(3, 3)).astype(float)
    index = rng.integers(0, (3, 4)[dim], size=(3, 3))
    mine = [jitorch.tensor(v).requires_grad_() for v in (x, y)]
    reference = [torch.tensor(v).requires_grad_() for v in (x, y)]
    out = mine[0].scatter_reduce(dim, jitorch.tensor(index), mine[1], how, include_self=include)
    expected = reference[0].scatter_reduce(dim, torch.tensor(index), reference[1], how, include_self=include)
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy())
    weights = rng.normal(size=(3, 4))
    out.backward(jitorch.tensor(weights))
    if how in ("prod", "amax", "amin") and not include:
        # PyTorch's gradient counts the element that takes no part.
        return
    expected.backward(torch.tensor(weights))
    for a, b in zip(mine, reference):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-12)


def test_in_place_forms_write_to_the_tensor() -> None:
    x, index = jitorch.zeros(4), jitorch.tensor([1, 1, 3])
    assert x.scatter_add_(0, index, jitorch.ones(3)) is x
    assert x.tolist() == [0.0, 2.0, 0.0, 1.0]
    assert x.index_fill_(0, jitorch.tensor([0]), 7.0).tolist() == [7.0, 2.0, 0.0, 1.0]
    assert x.index_add_(0, index, jitorch.ones(3), alpha=0.5).tolist() == [7.0, 3.0, 0.0, 1.5]
    assert x.masked_fill_(x > 2, -1).tolist() == [-1.0, -1.0, 0.0, 1.5]
    assert x.index_put_([jitorch.tensor([0, 0])], jitorch.ones(2), accumulate=True).tolist() == [1.0, -1.0, 0.0, 1.5]
    assert x.masked_scatter_(x < 0, jitorch.tensor([9.0])).tolist() == [1.0, 9.0, 0.0, 1.5]


def test_negative_indices_do_not_wrap() -> None:
    x, minus = jitorch.ones(2, 3), jitorch.tensor([[-1]])
    for call in (
        lambda: x.gather(1, minus),
        lambda: x.scatter(1, minus, 2.0),
        lambda: x.index_select(1, minus[0]),
        lambda: x.scatter_reduce(1, minus, x, "amax"),
        lambda: x.gather(1, jitorch.tensor([[3]])),
    ):
        with pytest.raises(TensorIndexError):
            call()
    # `take` counts from the end, as in PyTorch.
    assert jitorch.arange(4).take(jitorch.tensor([-1])).tolist() == [3]


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (DTypeError, lambda x: x.gather(1, x)),
        (ShapeError, lambda x: x.gather(1, jitorch.tensor([0]))),
        (ShapeError, lambda x: x.scatter(0, jitorch.zeros(3, 3, dtype=jitorch.int64), x)),
        (DTypeError, lambda x: x.scatter(1, jitorch.tensor([[0]]), jitorch.tensor([[1]]))),
        (ValueRangeError, lambda x: x.scatter(1, jitorch.tensor([[0]]), 1.0, reduce="max")),
        (ValueRangeError, lambda x: x.scatter_reduce(1, jitorch.tensor([[0]]), x, "max")),
        (ShapeError, lambda x: x.index_add(1, jitorch.tensor([0]), jitorch.ones(2, 2))),
        (TensorIndexError, lambda x: x.index_select(2, jitorch.tensor([0]))),
        (DTypeError, lambda x: x.masked_fill(x, 1.0)),
        (DTypeError, lambda x: x.long().masked_fill(x > 0, 1.5)),
        (ShapeError, lambda x: x.masked_fill(x > 0, jitorch.ones(2))),
        (ShapeError, lambda x: x.masked_scatter(x > 0, jitorch.ones(2))),
        (ShapeError, lambda x: jitorch.slice_scatter(x, jitorch.ones(2, 3), 1, 0, 2)),
        (TensorIndexError, lambda x: jitorch.select_scatter(x, jitorch.ones(3), 0, 2)),
    ],
)
def test_refused(error: Any, call: Any) -> None:
    with pytest.raises(error):
        call(jitorch.ones(2, 3))
