"""Keys that index no axis."""

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
