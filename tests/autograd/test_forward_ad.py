"""Dual tensors, with PyTorch's as the oracle."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.autograd.forward_ad as theirs

import jitorch
from jitorch.autograd import forward_ad as ours
from jitorch.errors import AutogradError, ShapeError, StagingError

X = np.array([0.5, -1.0, 2.0])


def tangents(lib: Any, ad: Any) -> list[Any]:
    x = lib.tensor(X)
    with ad.dual_level():
        dual = ad.make_dual(x, x * 2)
        y = (dual.sin() * x).cumsum(0)
        unpacked = ad.unpack_dual(y)
        assert ad.unpack_dual(x.exp()).tangent is None
        return [unpacked.primal.numpy(), unpacked.tangent.numpy()]


def test_as_in_pytorch() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of how it does it
        expected = tangents(torch, theirs)
    for a, b in zip(tangents(jitorch, ours), expected):
        np.testing.assert_allclose(a, b)


def test_a_tangent_can_be_differentiated_by_the_tape() -> None:
    x = jitorch.tensor(X).requires_grad_()
    with ours.dual_level():
        (_, tangent) = ours.unpack_dual((ours.make_dual(x, jitorch.ones_like(x)) ** 3).sum())
    tangent.backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * X)


def test_what_is_no_level_or_no_tangent() -> None:
    x = jitorch.tensor(X)
    with pytest.raises(AutogradError, match="outside of a level"):
        ours.make_dual(x, x)
    with pytest.raises(AutogradError, match="outside of a level"):
        ours.unpack_dual(x)
    with ours.dual_level():
        with pytest.raises(ShapeError, match="the type of its tensor"):
            ours.make_dual(x, x[:2])
        with pytest.raises(AutogradError, match="a level already"), ours.dual_level():
            ours.unpack_dual(x)


def test_not_in_a_compiled_function() -> None:
    def whole(x: Any) -> Any:
        with ours.dual_level():
            return ours.unpack_dual(ours.make_dual(x, x) * 2).tangent

    with pytest.raises(StagingError, match="UnsupportedError: dual_level in a compiled function"):
        jitorch.jit(whole, fullgraph=True)(jitorch.tensor(X))
