"""What batch rules are made of; `tests/passes/test_vmap.py` tests the rules from the samples of every op."""

from __future__ import annotations

import numpy as np

import jitorch
from jitorch.ops.batching import along, merge, move_axis, repeated, split

X = np.arange(24.0).reshape(2, 3, 4)


def test_axes_are_moved_merged_and_split() -> None:
    x = jitorch.tensor(X)
    for source in range(3):
        for target in range(3):
            np.testing.assert_array_equal(move_axis(x, source, target).numpy(), np.moveaxis(X, source, target))
    np.testing.assert_array_equal(merge(x, 0).numpy(), X.reshape(6, 4))
    np.testing.assert_array_equal(merge(x, 1).numpy(), X.reshape(2, 12))
    np.testing.assert_array_equal(split(merge(x, 1), 1, 3, 4).numpy(), X)


def test_one_value_is_repeated() -> None:
    x = jitorch.tensor(X[0])
    assert repeated(5, False, x).shape == (5, 3, 4)
    assert repeated(3, True, x) is x
    assert repeated(5, False, 2.0) == 2.0


def test_an_index_of_slices_is_one_of_elements() -> None:
    index = jitorch.tensor([[0, 2], [1, 1]])
    found = along(index, (2,), (4,)).numpy()
    assert found.shape == (2, 2, 2, 4)
    assert (found[0, :, 1] == 2).all()
