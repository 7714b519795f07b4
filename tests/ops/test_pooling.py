"""Pooling beside PyTorch's over many geometries, with indices and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jitorch
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.nn import functional as F


@st.composite
def geometries(draw: Any) -> dict[str, Any]:
    kernel = draw(st.integers(1, 4))
    return {
        "kernel_size": kernel,
        "stride": draw(st.none() | st.integers(1, 4)),
        "padding": draw(st.integers(0, kernel // 2)),
        "ceil_mode": draw(st.booleans()),
    }


def both(function: str, values: np.ndarray, *args: Any, **options: Any) -> tuple[Any, Any, Any, Any]:
    x, y = jitorch.tensor(values).requires_grad_(), torch.tensor(values).requires_grad_()
    return getattr(F, function)(x, *args, **options), getattr(torch.nn.functional, function)(y, *args, **options), x, y


def same(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected.detach().numpy(), atol=1e-12)


@settings(max_examples=60)
@given(geometries(), st.integers(1, 2), st.integers(4, 9), st.integers(0, 2**31))
def test_max_pool(geometry: dict[str, Any], dilation: int, size: int, seed: int) -> None:
    # Ties on purpose: the first of equal elements wins.
    values = np.random.default_rng(seed).integers(-2, 3, size=(2, 1, size + 3)).astype(np.float64)
    geometry = {**geometry, "dilation": dilation}
    (out, place), (expected, where), x, y = both("max_pool1d", values, **geometry, return_indices=True)
    same(out, expected)
    assert place.tolist() == where.tolist()
    weights = np.random.default_rng(1).normal(size=tuple(expected.shape))
    out.backward(jitorch.tensor(weights))
    expected.backward(torch.tensor(weights))
    same(x.grad, y.grad)


@settings(max_examples=60)
@given(geometries(), st.booleans(), st.integers(4, 9), st.integers(4, 7))
def test_avg_pool(geometry: dict[str, Any], include: bool, height: int, width: int) -> None:
    values = np.random.default_rng(0).normal(size=(1, 2, height, width))
    out, expected, *_ = both("avg_pool2d", values, **geometry, count_include_pad=include)
    same(out, expected)


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9))
def test_adaptive_pools(size: int, out_size: int) -> None:
    values = np.random.default_rng(size).integers(-3, 4, size=(2, 3, size)).astype(np.float64)
    for name in ("adaptive_avg_pool1d", "adaptive_max_pool1d"):
        out, expected, x, y = both(name, values, out_size)
        same(out, expected)
        out.sum().backward()
        expected.sum().backward()
        same(x.grad, y.grad)
    (_, place), (_, where), *_ = both("adaptive_max_pool1d", values, out_size, return_indices=True)
    assert place.tolist() == where.tolist()


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 4), (5, 7), (6, 1), (9, 11), (13, 4)])
@pytest.mark.parametrize("compiled", [False, True])
def test_adaptive_pools_of_two_axes(size: tuple[int, int], compiled: bool) -> None:
    values = np.random.default_rng(0).integers(-3, 4, size=(2, 3, 13, 7)).astype(np.float64)
    values[0, 0] = -np.inf
    weights = np.random.default_rng(1).normal(size=(2, 3, *size))
    for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        x, y = jitorch.tensor(values).requires_grad_(), torch.tensor(values).requires_grad_()
        function = jitorch.jit(lambda x, name=name: getattr(F, name)(x, size)) if compiled else getattr(F, name)
        out = function(x) if compiled else function(x, size)
        expected = getattr(torch.nn.functional, name)(y, size)
        same(out, expected)
        out.backward(jitorch.tensor(weights))
        expected.backward(torch.tensor(weights))
        same(x.grad, y.grad)
    place = F.adaptive_max_pool2d(jitorch.tensor(values), size, return_indices=True)[1]
    _, where = torch.nn.functional.adaptive_max_pool2d(torch.tensor(values), size, return_indices=True)
    assert place.tolist() == where.tolist()


def test_unpool_inverts_where_the_greatest_were() -> None:
    x = jitorch.randn(1, 2, 6, 6)
    out, place = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(out, place, 2)
    assert jitorch.equal(back[back != 0], x[back != 0])
    assert (back != 0).sum().item() == out.numel()


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ValueRangeError, lambda: F.max_pool2d(jitorch.ones(1, 4, 4), 0)),
        (ValueRangeError, lambda: F.max_pool2d(jitorch.ones(1, 4, 4), 2, padding=2)),
        (ShapeError, lambda: F.max_pool2d(jitorch.ones(4, 4), 2)),
        (ShapeError, lambda: F.max_pool2d(jitorch.ones(1, 2, 2), 5)),
        (ShapeError, lambda: F.avg_pool1d(jitorch.ones(1, 0), 2)),
        (ValueRangeError, lambda: F.adaptive_avg_pool1d(jitorch.ones(1, 4), -1)),
        (ValueRangeError, lambda: F.avg_pool2d(jitorch.ones(1, 4, 4), 2, divisor_override=0)),
    ],
)
def test_refused(error: Any, call: Any) -> None:
    with pytest.raises(error):
        call()


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (5, 11)])
@pytest.mark.parametrize("options", [{}, {"padding": 1}, {"ceil_mode": True}, {"padding": (1, 0), "ceil_mode": True}])
@pytest.mark.parametrize("kernel", [2, (3, 2), (17, 16)])
def test_gradients_of_windows_side_by_side(size: Any, options: Any, kernel: Any) -> None:
    if kernel == (17, 16):
        size = (2 * size[0] + 20, 40)
    values = np.random.default_rng(0).integers(0, 4, (2, 3, *size)).astype(np.float64)  # with equal ones
    (x,), (y,) = [jitorch.tensor(values, requires_grad=True)], [torch.tensor(values, requires_grad=True)]
    for name in ("max_pool2d", "avg_pool2d"):
        out = getattr(F, name)(x, kernel, **options)
        expected = getattr(torch.nn.functional, name)(y, kernel, **options)
        weights = np.random.default_rng(1).normal(size=tuple(out.shape))
        (out * jitorch.tensor(weights)).sum().backward()
        (expected * torch.tensor(weights)).sum().backward()
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-12)
