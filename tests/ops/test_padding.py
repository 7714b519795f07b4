"""Padding in every mode, cropping, and how far each mode reaches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jitorch
from jitorch.errors import ArgumentError, ShapeError, UnsupportedError
from jitorch.nn import functional as F

amounts = st.tuples(*[st.integers(-2, 4)] * 4)


@given(amounts, st.sampled_from(["constant", "reflect", "replicate", "circular"]))
def test_modes(pad: tuple[int, ...], mode: str) -> None:
    x = np.random.default_rng(0).normal(size=(1, 2, 5, 6))
    other = torch.tensor(x).requires_grad_()
    try:
        expected = torch.nn.functional.pad(other, pad, mode)
    except RuntimeError:
        return
    mine = jitorch.tensor(x).requires_grad_()
    out = F.pad(mine, pad, mode)
    cropped = [size + min(a, 0) + min(b, 0) for size, a, b in ((6, *pad[:2]), (5, *pad[2:]))]
    if mode == "circular" and any(max(pad[2 * i : 2 * i + 2]) > size for i, size in enumerate(cropped)):
        # PyTorch 2.13 copies from elements that it has not written yet; here the circle goes round again.
        assert out.shape == expected.shape
        return
    np.testing.assert_array_equal(out.detach().numpy(), expected.detach().numpy())
    out.sum().backward()
    expected.sum().backward()
    np.testing.assert_array_equal(mine.grad.numpy(), other.grad.numpy())


def test_value_takes_the_dtype_of_the_tensor() -> None:
    assert F.pad(jitorch.ones(2, dtype=jitorch.int64), (1, 0), value=3.7).tolist() == [3, 1, 1]
    assert F.pad(jitorch.ones(1, dtype=jitorch.bool), (1, 0)).tolist() == [False, True]


def test_result_is_a_copy() -> None:
    x = jitorch.ones(3)
    F.pad(x, (0, 0))[0] = 5.0
    assert x.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ShapeError, lambda x: F.pad(x, (1,))),
        (ShapeError, lambda x: F.pad(x, (1,) * 8)),
        (ShapeError, lambda x: F.pad(x, (-4, 0))),
        (ShapeError, lambda x: F.pad(x, (3, 0), "reflect")),
        (ShapeError, lambda x: F.pad(x, (4, 0), "circular")),
        (UnsupportedError, lambda x: F.pad(x, (1, 1), "mirror")),
        (UnsupportedError, lambda x: F.pad(x[0, 0], (1, 1), "reflect")),
        (ArgumentError, lambda x: F.pad(x, (1, 1), "reflect", 2.0)),
    ],
)
def test_refused(error: Any, call: Any) -> None:
    with pytest.raises(error):
        call(jitorch.ones(1, 2, 3))
