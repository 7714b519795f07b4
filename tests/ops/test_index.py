"""Keys that index no axis, and masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jitorch

ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)
KEYS = {
    "True": True,
    "False": False,
    "before an int": (True, 1),
    "after an int": (0, True),
    "after a slice": (slice(None), True),
    "beside None": (None, True, ...),
    "at the end": (..., False),
    "beside a list": (True, [0, 2]),
    "between lists": ([0, 2], True, [1, 1]),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_bools_index_no_axis(key: Any) -> None:
    expected = torch.tensor(ARRAY)
    actual = jitorch.tensor(ARRAY)
    np.testing.assert_array_equal(actual[key].numpy(), expected[key].numpy())
    np.testing.assert_array_equal(jitorch.jit(lambda x: x[key], fullgraph=True)(actual).numpy(), expected[key].numpy())
    expected[key] = actual[key] = 50.0
    np.testing.assert_array_equal(actual.numpy(), expected.numpy())


def test_a_mask_without_axes() -> None:
    x = jitorch.tensor(ARRAY)
    assert x[jitorch.tensor(True)].shape == x[np.True_].shape == (1, 3, 4)
    assert x[jitorch.tensor(False)].shape == (0, 3, 4)


MASKS = {
    "all axes": (lambda x: x > 5, 2.5),
    "the first axis": (lambda x: x[:, 0] > 3, 1),
    "the first axis, a row": (lambda x: x[:, 0] > 3, [1.0, 2.0, 3.0, 4.0]),
    "the last axis": (lambda x: (slice(None), x[0] > 1), -1.5),
    "none": (lambda x: x > 99, 7.0),
    "an int and a mask": (lambda x: (1, x[1] > 5), 0.5),
}


@pytest.mark.parametrize(("key", "value"), MASKS.values(), ids=MASKS)
def test_a_mask_is_filled(key: Any, value: Any) -> None:
    """What every true element gets does not depend on how many there are: no position is needed, also in a program."""

    def fill(library: Any, x: Any, v: Any) -> Any:
        y = x * 1
        y[key(y)] = v
        return y

    x, v = torch.tensor(ARRAY, requires_grad=True), torch.tensor(value, requires_grad=isinstance(value, list))
    expected = fill(torch, x, v)
    for function in (fill, jitorch.jit(lambda x, v: fill(jitorch, x, v), fullgraph=True)):
        mine = jitorch.tensor(ARRAY, requires_grad=True)
        values = jitorch.tensor(value, requires_grad=isinstance(value, list))
        actual = function(jitorch, mine, values) if function is fill else function(mine, values)
        np.testing.assert_array_equal(actual.detach().numpy(), expected.detach().numpy())
        leaves = [mine, values] if values.requires_grad else [mine]
        wanted = torch.autograd.grad((expected * expected).sum(), [x, v][: len(leaves)], retain_graph=True)
        for a, b in zip(jitorch.autograd.grad((actual * actual).sum(), leaves), wanted):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
