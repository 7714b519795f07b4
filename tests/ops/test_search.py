"""Counting and searching in tensors large enough for kernels, in both twins."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import config
from jitorch.errors import ValueRangeError
from tests.ops.oracle import agree

RNG = np.random.default_rng(0)
MANY = 40_003
INDEX, WEIGHTS = RNG.integers(0, 700, MANY), RNG.integers(-3, 4, MANY).astype("float32")

CALLS = {
    "bincount": lambda lib, i, w: lib.bincount(i),
    "bincount of at least": lambda lib, i, w: [lib.bincount(i, minlength=n) for n in (1, 700, 50_000)],
    "bincount of weights": lambda lib, i, w: [lib.bincount(i, w), lib.bincount(i, w.double())],
    "bincount of nothing": lambda lib, i, w: [lib.bincount(i[:0]), lib.bincount(i[:0], minlength=3)],
    "bincount of narrow integers": lambda lib, i, w: lib.bincount((i % 100).to(lib.int8)),
    "histc": lambda lib, i, w: [lib.histc(w, 7, -3, 3), lib.histc(w, 5)],
    "histogram": lambda lib, i, w: lib.histogram(w, 5, range=(-3.0, 3.0)),
    "searchsorted": lambda lib, i, w: lib.searchsorted(lib.arange(0, 700, 3), i),
    "bucketize": lambda lib, i, w: lib.bucketize(w, lib.tensor([-1.0, 0.0, 2.0]), right=True),
    "one_hot": lambda lib, i, w: lib.nn.functional.one_hot(i % 5),
}


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", CALLS)
def test_agrees_with_pytorch(name, native):
    with config.override(native=native):
        agree(CALLS[name], INDEX, WEIGHTS)


@pytest.mark.parametrize("name", ["bincount", "bincount of weights", "bincount of at least", "one_hot"])
def test_compiled_is_the_same(name):
    index, weights = jitorch.from_numpy(INDEX), jitorch.from_numpy(WEIGHTS)
    expected = CALLS[name](jitorch, index, weights)
    found = jitorch.jit(lambda i, w: CALLS[name](jitorch, i, w))(index, weights)
    for a, b in zip(*[x if isinstance(x, list) else [x] for x in (found, expected)], strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("count", [3, MANY])
def test_a_negative_element_is_refused(count):
    index = jitorch.zeros(count, dtype=jitorch.int64)
    index[-1] = -2
    with pytest.raises(ValueRangeError, match="negative"):
        jitorch.bincount(index)
