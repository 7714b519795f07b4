"""Convolutions and pooling of images whose sizes are symbols."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch as torch
import jitorch.nn.functional as F


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 4)])
def test_images_of_any_size(stride: int, groups: int) -> None:
    # The names of a trace's sizes are s0, s1, ..., which no loop may have.
    def net(x: Any, w: Any) -> Any:
        y = F.relu(F.conv2d(x, w, stride=stride, padding=1, groups=groups))
        return F.max_pool2d(y, 2) + F.avg_pool2d(y, 2)

    compiled = torch.jit(net, fullgraph=True)
    generator = np.random.default_rng(0)
    w = torch.tensor(generator.normal(size=(8, 4 // groups, 3, 3)).astype(np.float32))
    for height, width in [(16, 18), (20, 22), (33, 30), (9, 40)]:
        x = torch.tensor(generator.normal(size=(2, 4, height, width)).astype(np.float32))
        results = []
        for function in (compiled, net):
            a, b = x.detach().clone().requires_grad_(), w.detach().clone().requires_grad_()
            y = function(a, b)
            y.sum().backward()
            results.append((y.detach(), a.grad, b.grad))
        for actual, expected in zip(*results, strict=True):
            np.testing.assert_allclose(actual.numpy(), expected.numpy(), rtol=1e-4, atol=1e-4)
    assert compiled.statistics.traces == 2
    assert compiled.statistics.native == compiled.statistics.calls
