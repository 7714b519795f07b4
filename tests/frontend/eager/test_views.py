"""Views made by where they lie: the same as ops make, of every layout, with the history that they should have."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import jit


def test_views_of_equal_layout_are_of_their_own_base() -> None:
    for _ in range(3):
        x = jitorch.arange(12.0).reshape(3, 4).clone()
        row, column = x.narrow(0, 1, 1), x.t()
        assert row.tolist() == [[4, 5, 6, 7]]
        assert column.stride() == (1, 4)
        row.zero_()
        assert x[1].tolist() == column[:, 1].tolist() == [0, 0, 0, 0]
        assert row._base is x


def test_views_of_views_and_of_other_strides() -> None:
    x = jitorch.arange(24.0).reshape(4, 6)
    for base in (x, x.t(), x[1:], x.t()[2:]):
        for _ in range(2):
            part = base.narrow(0, 1, 2)
            np.testing.assert_array_equal(part.numpy(), base.numpy()[1:3])
            assert part.data_ptr() == base.numpy()[1:3].ctypes.data


def test_a_broadcast_stays_read_only_and_an_empty_view_is_one() -> None:
    x = jitorch.ones(1, 3)
    for _ in range(2):
        assert not x.expand(4, 3).numpy().flags.writeable
        assert x.narrow(0, 1, 0).shape == (0, 3)


def test_history_is_recorded_where_it_is_wanted() -> None:
    x = jitorch.ones(2, 3, requires_grad=True)
    for _ in range(2):
        with jitorch.no_grad():
            assert not x.t().requires_grad
        x.t().sum().backward()
        assert x.grad.tolist() == [[1.0] * 3] * 2
        x.grad = None


@pytest.mark.parametrize("count", [1, 5])
def test_results_that_are_views_share_memory(count: int) -> None:
    @jit
    def rows(x):
        y = x * 2
        return (*x.unbind(), y, *y.split(1))

    for _ in range(3):
        x = jitorch.randn(count, 3)
        found = rows(x)
        y = found[count]
        for i in range(count):
            assert found[i].data_ptr() == x[i].data_ptr()
            found[count + 1 + i].fill_(i)
        assert y.tolist() == [[i] * 3 for i in range(count)]
