"""Arithmetic and functions of complex numbers, and their gradients, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch.errors import DTypeError

UNARY = (
    "exp", "log", "sqrt", "rsqrt", "reciprocal", "square", "neg", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
    "cosh", "tanh", "log10", "log2", "expm1", "log1p", "abs", "angle", "sum", "mean",
)  # fmt: skip
BINARY = ("add", "sub", "mul", "div", "pow", "matmul")


def numbers(seed: int, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * 0.4 + 0.5 + 1j * rng.normal(size=shape) * 0.4


def check(name: str, *arrays: np.ndarray) -> None:
    mine = [jitorch.tensor(a).requires_grad_() for a in arrays]
    reference = [torch.tensor(a).requires_grad_() for a in arrays]
    out, expected = getattr(jitorch, name)(*mine), getattr(torch, name)(*reference)
    close(out, expected)
    seed = numbers(9, *expected.shape)
    seed = seed if expected.dtype.is_complex else seed.real
    out.backward(jitorch.tensor(seed))
    expected.backward(torch.tensor(seed))
    for x, y in zip(mine, reference, strict=True):
        close(x.grad, y.grad)


def close(actual: Any, expected: Any) -> None:
    actual, expected = actual.detach().numpy(), expected.detach().resolve_conj().numpy()
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one(name: str) -> None:
    check(name, numbers(0, 3, 4))


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two(name: str) -> None:
    check(name, numbers(0, 3, 3), numbers(1, 3, 3))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_a_real_operand_has_a_real_gradient(name: str) -> None:
    check(name, numbers(0, 3, 3).real.copy(), numbers(1, 3))
    check(name, numbers(0, 3, 3), numbers(1, 3).real.copy())


def test_parts_make_the_whole() -> None:
    z = jitorch.tensor(numbers(0, 2, 3))
    assert jitorch.equal(jitorch.complex(z.real, z.imag), z)
    assert jitorch.equal(jitorch.view_as_complex(jitorch.view_as_real(z)), z)
    assert jitorch.allclose(jitorch.polar(z.abs(), z.angle()).real, z.real)
    assert jitorch.allclose((z * z.conj()).real, z.abs() ** 2)


def test_no_order_among_complex_numbers() -> None:
    z = jitorch.tensor(numbers(0, 3))
    with pytest.raises(DTypeError):
        jitorch.relu(z)
    with pytest.raises(DTypeError):
        jitorch.lt(z, 1)
