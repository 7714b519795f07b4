"""Every mode of `interpolate` beside PyTorch's, up and down; `grid_sample` in all its modes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch.errors import ArgumentError, ShapeError, UnsupportedError, ValueRangeError
from jitorch.nn import functional as F

MODES = {"nearest": None, "nearest-exact": None, "area": None, "bilinear": (False, True), "bicubic": (False, True)}
TARGETS: list[dict[str, Any]] = [
    {"size": (3, 10)}, {"size": (7, 5)}, {"size": (14, 15)}, {"size": 1}, {"scale_factor": 2},
    {"scale_factor": (0.6, 1.7)},
    {"scale_factor": 1.3, "recompute_scale_factor": True},
]  # fmt: skip


def values(*shape: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


@pytest.mark.parametrize(("mode", "target"), list(product(MODES, TARGETS)))
def test_interpolate(mode: str, target: dict[str, Any]) -> None:
    x = values(1, 2, 7, 5)
    for align in MODES[mode] or (None,):
        out = F.interpolate(jitorch.tensor(x), mode=mode, align_corners=align, **target)
        expected = torch.nn.functional.interpolate(torch.tensor(x), mode=mode, align_corners=align, **target)
        np.testing.assert_allclose(out.numpy(), expected.numpy(), atol=1e-9)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(3, 2), (9, 4)])
def test_antialias(mode: str, size: tuple[int, int]) -> None:
    x = values(1, 2, 7, 5)
    out = F.interpolate(jitorch.tensor(x), size, mode=mode, antialias=True)
    expected = torch.nn.functional.interpolate(torch.tensor(x), size, mode=mode, antialias=True)
    np.testing.assert_allclose(out.numpy(), expected.numpy(), atol=1e-9)


def test_whole_factors_need_no_index() -> None:
    x = jitorch.arange(4.0).reshape(1, 1, 4)
    assert F.interpolate(x, scale_factor=3).flatten().tolist() == [0.0] * 3 + [1.0] * 3 + [2.0] * 3 + [3.0] * 3


@pytest.mark.parametrize(
    ("mode", "padding", "align"),
    list(product(["bilinear", "nearest", "bicubic"], ["zeros", "border", "reflection"], [False, True])),
)
def test_grid_sample(mode: str, padding: str, align: bool) -> None:
    x, grid = values(2, 3, 5, 4), np.random.default_rng(1).uniform(-2.5, 2.5, size=(2, 6, 3, 2))
    out = F.grid_sample(jitorch.tensor(x), jitorch.tensor(grid), mode, padding, align)
    expected = torch.nn.functional.grid_sample(torch.tensor(x), torch.tensor(grid), mode, padding, align)
    np.testing.assert_allclose(out.numpy(), expected.numpy(), atol=1e-9)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (UnsupportedError, lambda x: F.interpolate(x, 3, mode="lanczos")),
        (UnsupportedError, lambda x: F.interpolate(x, 3, mode="linear")),
        (ArgumentError, lambda x: F.interpolate(x)),
        (ArgumentError, lambda x: F.interpolate(x, 3, scale_factor=2)),
        (ValueRangeError, lambda x: F.interpolate(x, 3, align_corners=True)),
        (ValueRangeError, lambda x: F.interpolate(x, 0)),
        (ShapeError, lambda x: F.interpolate(x, (1, 2, 3))),
        (ShapeError, lambda x: F.grid_sample(x, jitorch.ones(1, 2, 2, 3))),
        (ValueRangeError, lambda x: F.grid_sample(x, jitorch.ones(1, 2, 2, 2), mode="cubic")),
    ],
)
def test_refused(error: Any, call: Any) -> None:
    with pytest.raises(error):
        call(jitorch.ones(1, 1, 4, 4))
