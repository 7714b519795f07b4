"""Levels: what is inside, what is outside, and how one stands in the other."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import func
from jitorch.errors import AutogradError, UnsupportedError, VmapError
from jitorch.frontend.eager.levels import BatchLevel, ForwardLevel, current_level, through
from jitorch.passes.jvp import Dual
from jitorch.passes.lanes import Lanes
from jitorch.tensor import Tensor


def t(*values: float) -> Any:
    return jitorch.tensor(values, dtype=jitorch.float64)


def test_values_go_in_and_come_out() -> None:
    x = t(1.0, 2.0)
    (found,) = through(ForwardLevel(), lambda args: [args[0] * args[0]], [Dual(x, x)])
    assert (found.primal.tolist(), found.tangent.tolist()) == ([1.0, 4.0], [2.0, 8.0])
    (lanes,) = through(BatchLevel(2, "error"), lambda args: [args[0].exp()], [Lanes(x, True, x[0].type)])
    assert lanes.is_batched
    assert lanes.type.shape == ()
    np.testing.assert_allclose(lanes.x.numpy(), np.exp([1.0, 2.0]))
    assert current_level() is None


def test_a_tensor_of_outside_is_a_constant_whose_views_show_its_memory() -> None:
    outside, x = t(1.0, 2.0, 3.0), t(5.0, 6.0)

    def function(args: list[Tensor]) -> list[Tensor]:
        assert isinstance(current_level(), BatchLevel)
        view = outside[1:]
        view[0] = 7.0
        again = outside.detach()
        return [args[0] * 0 + outside.sum(), again, view]

    shared, plain, view = through(BatchLevel(2, "error"), function, [Lanes(x, True, x[0].type)])
    assert outside.tolist() == [1.0, 7.0, 3.0]
    assert shared.x.tolist() == [11.0, 11.0]
    assert not plain.is_batched
    assert view.x.tolist() == [7.0, 3.0]


def test_views_of_lanes_see_writes() -> None:
    def function(x: Any) -> Any:
        y = x.clone()
        row, flat = y[0], y.reshape(-1)
        y.mul_(2)
        row += 1
        return y, flat, row, y._version

    def both(x: Any) -> Any:
        y, flat, row, version = function(x)
        assert version == 2
        return y, flat, row

    x = jitorch.arange(12.0).reshape(3, 2, 2)
    for found, rows in zip(func.vmap(both)(x), zip(*map(both, x))):
        np.testing.assert_array_equal(found.numpy(), jitorch.stack(rows).numpy())


def test_a_write_that_outside_cannot_take() -> None:
    outside = t(0.0, 0.0)
    with pytest.raises(VmapError, match="differs from lane to lane"):
        func.vmap(lambda x: outside.add_(x))(t(1.0, 2.0))
    with pytest.raises(AutogradError, match="has a tangent"):
        func.jvp(lambda x: outside.add_(x), (t(1.0, 2.0),), (t(1.0, 2.0),))
    assert outside.tolist() == [0.0, 0.0]


def test_gradients_inside_see_stale_values() -> None:
    def function(x: Any) -> Any:
        y = x.clone().requires_grad_()
        z = y * 1
        out = z.exp()
        out.mul_(2)
        return jitorch.autograd.grad(out.sum(), y)[0]

    with pytest.raises(AutogradError, match="modified by an in-place operation"):
        func.vmap(function)(jitorch.ones(2, 3))


def test_what_is_not_used_any_more_is_freed() -> None:
    level = BatchLevel(2, "error")

    def function(args: list[Tensor]) -> list[Tensor]:
        x = args[0]
        for _ in range(20):
            x = x * 2
        gc.collect()
        assert len(level.cells) < 6
        return [x]

    x = t(1.0, 2.0)
    through(level, function, [Lanes(x, True, x[0].type)])


def test_a_tensor_that_outlives_its_level_says_so() -> None:
    kept: list[Any] = []
    func.jvp(lambda x: (kept.append(x), x)[1], (t(1.0),), (t(1.0),))
    with pytest.raises(UnsupportedError, match="that is over"):
        kept[0].tolist()
