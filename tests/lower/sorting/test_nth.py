"""One element of an order: of each rank, and of a rank of its own for each line."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.builder import graph_of
from jitorch.dims import symbol
from jitorch.dtypes import float32, int64
from jitorch.ir.types import TensorType
from jitorch.ops import OPS
from tests.lower.sorting.lines import DTYPES, compiled, elements, order_of
from tests.samples import compile_graph


def nth(axis: int):
    return lambda x, rank: OPS["nth_axis"](x, rank, axis=axis)


@pytest.mark.parametrize("name", DTYPES)
def test_ranks(name: str) -> None:
    rng = np.random.default_rng(1)
    for shape, axis in (((3, 9), 1), ((3, 500), 1), ((400, 3), 0)):
        x = elements(rng, shape, name)
        rank = rng.integers(0, shape[axis], tuple(1 if a == axis else d for a, d in enumerate(shape)))
        got = compiled(nth(axis), x, rank)
        np.testing.assert_array_equal(got, np.take_along_axis(order_of(x, axis, False), rank, axis))


@pytest.mark.parametrize("size", [5, 200])
def test_the_first_and_the_last_rank(size: int) -> None:
    x = elements(np.random.default_rng(0), (2, size), "float32")
    got = compiled(nth(1), x, np.array([[0], [size - 1]]))
    order = order_of(x, 1, False)
    assert got.tolist() == [[order[0, 0]], [order[1, -1]]]


@pytest.mark.parametrize("size", [1, 60, 1000])
def test_a_size_that_is_a_symbol(size: int) -> None:
    graph = graph_of(nth(0), [TensorType(float32, (symbol("N"),)), TensorType(int64, (1,))])
    x, rank = elements(np.random.default_rng(0), (size,), "float32"), np.array([size // 2])
    np.testing.assert_array_equal(compile_graph(graph).run([x, rank])[0], order_of(x, 0, False)[rank])
