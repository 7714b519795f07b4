"""What dropout keeps, how it scales, and what it refuses."""

from __future__ import annotations

import pytest

import jitorch
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.nn import functional as F


def test_keeps_a_share_and_scales_it() -> None:
    jitorch.manual_seed(0)
    out = F.dropout(jitorch.ones(10_000), 0.25)
    kept = out != 0
    assert abs(kept.float().mean().item() - 0.75) < 0.02
    assert jitorch.allclose(out[kept], jitorch.tensor(1 / 0.75))


def test_gradient_has_the_mask_of_the_result() -> None:
    x = jitorch.ones(50).requires_grad_()
    out = F.dropout(x, 0.5)
    out.sum().backward()
    assert jitorch.equal(x.grad, out.detach())


def test_everything_or_nothing() -> None:
    x = jitorch.ones(5).requires_grad_()
    out = F.dropout(x, 1.0)
    out.sum().backward()
    assert jitorch.equal(out, jitorch.zeros(5)) and jitorch.equal(x.grad, jitorch.zeros(5))
    assert jitorch.equal(F.dropout(x, 0.0), x)
    assert F.dropout(x, 0.5, training=False) is x


def test_whole_channels() -> None:
    jitorch.manual_seed(0)
    out = F.dropout2d(jitorch.ones(8, 8, 3, 3), 0.5).reshape(64, 9)
    assert jitorch.equal((out != 0).any(1), (out != 0).all(1))
    assert 0 < (out != 0).any(1).sum().item() < 64


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    jitorch.manual_seed(0)
    out = F.alpha_dropout(jitorch.randn(100_000), 0.3, training=True)
    assert abs(out.mean().item()) < 0.02
    assert abs(out.var().item() - 1) < 0.03


def test_in_place() -> None:
    jitorch.manual_seed(0)
    x = jitorch.ones(100)
    assert F.dropout(x, 0.5, inplace=True) is x
    assert (x == 0).any()


def test_one_seed_one_mask() -> None:
    masks = []
    for _ in range(2):
        jitorch.manual_seed(7)
        masks.append(F.dropout(jitorch.ones(100), 0.5))
    assert jitorch.equal(*masks)
    assert not jitorch.equal(masks[0], F.dropout(jitorch.ones(100), 0.5))


def test_refused() -> None:
    with pytest.raises(ValueRangeError):
        F.dropout(jitorch.ones(2), 1.5)
    with pytest.raises(ShapeError):
        F.dropout3d(jitorch.ones(2, 2), 0.5)
