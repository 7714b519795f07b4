"""The first elements of an order: few and many of them, of lines that come in any order."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.builder import graph_of
from jitorch.dims import symbol
from jitorch.dtypes import float32
from jitorch.ir import kernel as k
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.sorting.top import BLOCK, LESS, MANY, MOST_KEPT, PART
from jitorch.ops import OPS
from tests.lower.sorting.lines import DTYPES, compiled, elements, order_of
from tests.samples import compile_graph


def first(count: int, axis: int, descending: bool):
    return lambda x: OPS["top_axis"](x, axis=axis, count=count, descending=descending)


@pytest.mark.parametrize("descending", [False, True], ids=["least", "greatest"])
@pytest.mark.parametrize("name", DTYPES)
def test_order(name: str, descending: bool) -> None:
    rng = np.random.default_rng(1)
    for shape, axis, count in (((9,), 0, 4), ((2, 700), 1, 1), ((2, 700), 1, 30), ((400, 2), 0, 3), ((300,), 0, 290)):
        x = elements(rng, shape, name)
        got = compiled(first(count, axis, descending), x)
        np.testing.assert_array_equal(got, np.take(order_of(x, axis, descending), np.arange(count), axis))


@pytest.mark.parametrize("count", [1, MOST_KEPT, MOST_KEPT + 1])
@pytest.mark.parametrize("rest", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_lines_of_any_length(count: int, rest: int) -> None:
    x = elements(np.random.default_rng(0), (PART * MOST_KEPT + rest,), "float32")
    np.testing.assert_array_equal(compiled(first(count, 0, True), x), order_of(x, 0, True)[:count])


@pytest.mark.parametrize("descending", [False, True], ids=["least", "greatest"])
def test_lines_in_order_and_in_the_opposite_order(descending: bool) -> None:
    x = np.sort(np.random.default_rng(0).normal(size=3000))
    for line in (x, x[::-1].copy(), np.zeros_like(x)):
        got = compiled(first(20, 0, descending), line)
        np.testing.assert_array_equal(got, order_of(line, 0, descending)[:20])


@pytest.mark.parametrize(("count", "size"), [(3, 3), (3, 40), (3, 1000), (200, 200), (200, MANY - 1), (200, MANY + 5)])
def test_a_size_that_is_a_symbol(count: int, size: int) -> None:
    graph = graph_of(first(count, 0, True), [TensorType(float32, (symbol("N"),))])
    x = elements(np.random.default_rng(0), (size,), "float32")
    np.testing.assert_array_equal(compile_graph(graph).run([x])[0], order_of(x, 0, True)[:count])


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("count", [MOST_KEPT + 1, MANY // LESS, MANY // LESS + 1, MANY])
def test_many_of_a_long_line(name: str, count: int) -> None:
    x = elements(np.random.default_rng(2), (MANY,), name)
    order = np.array(order_of(x, 0, True))
    np.testing.assert_array_equal(compiled(first(count, 0, True), x), order[:count])


def test_elements_are_left_out_of_the_sort_where_few_are_wanted() -> None:
    def digits(count: int, size: int) -> bool:
        graph = graph_of(first(count, 0, True), [TensorType(float32, (size,))])
        (kernel,) = program(graph).kernels
        numbers = next(b for b in kernel.scratch if b.name == "numbers")
        return any(
            isinstance(s, k.For) and s.extent == k.const(size) and any(
                isinstance(part, k.Store) and part.buffer == numbers for part in s.body
            )
            for s in k.walk(kernel)
        )  # fmt: skip

    assert digits(MOST_KEPT + 1, MANY)
    assert not digits(MANY // 2, MANY) and not digits(MOST_KEPT + 1, MANY - 1)


def test_greatest_numbers_of_a_dtype_count() -> None:
    for dtype in (np.int32, np.int64):
        greatest = np.iinfo(dtype).max
        x = np.full(500, greatest, dtype)
        x[::3] = np.iinfo(dtype).min
        for descending in (False, True):
            got = compiled(first(5, 0, descending), x)
            np.testing.assert_array_equal(got, order_of(x, 0, descending)[:5])
