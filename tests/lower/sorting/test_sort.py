"""The stable order of lines: short and long ones, along every axis, fused with what is around."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.builder import graph_of
from jitorch.dims import symbol
from jitorch.dtypes import float32
from jitorch.ir.types import TensorType
from jitorch.lower.program import program
from jitorch.lower.sorting.sort import SHORT
from jitorch.ops import OPS
from tests.lower.sorting.lines import DTYPES, compiled, elements, order_of
from tests.samples import compile_graph


@pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("name", DTYPES)
def test_order(name: str, descending: bool) -> None:
    rng = np.random.default_rng(1)
    for shape, axis in (((7,), 0), ((2, SHORT), 1), ((2, SHORT + 1), 1), ((300, 2), 0), ((2, 150, 2), 1)):
        x = elements(rng, shape, name)
        got = compiled(lambda x, axis=axis: OPS["argsort_axis"](x, axis=axis, descending=descending), x)
        np.testing.assert_array_equal(got, order_of(x, axis, descending))


@pytest.mark.parametrize("size", [0, 1, 2])
def test_lines_of_hardly_any_elements(size: int) -> None:
    x = np.arange(3 * size, dtype=np.float32).reshape(3, size)
    got = compiled(lambda x: OPS["argsort_axis"](x, axis=1, descending=True), x)
    np.testing.assert_array_equal(got, order_of(x, 1, True))


@pytest.mark.parametrize("size", [0, 1, 5, 1000])
def test_a_size_that_is_a_symbol(size: int) -> None:
    n = symbol("N")
    graph = graph_of(lambda x: OPS["argsort_axis"](x, axis=0, descending=False), [TensorType(float32, (n,))])
    x = elements(np.random.default_rng(0), (size,), "float32")
    np.testing.assert_array_equal(compile_graph(graph).run([x])[0], order_of(x, 0, False))


@pytest.mark.parametrize("size", [20, 500])
def test_what_is_around_is_part_of_the_kernel(size: int) -> None:
    def function(x):
        return OPS["mul"](OPS["argsort_axis"](OPS["neg"](x), axis=0, descending=False), 2)

    graph = graph_of(function, [TensorType(float32, (size,))])
    assert len(program(graph).kernels) == 1
    x = elements(np.random.default_rng(0), (size,), "float32")
    np.testing.assert_array_equal(compiled(function, x), 2 * order_of(-x, 0, False))


def test_digits_that_are_the_same_everywhere() -> None:
    x = np.random.default_rng(0).integers(0, 256, 1000) << 40
    got = compiled(lambda x: OPS["argsort_axis"](x, axis=0, descending=False), x)
    np.testing.assert_array_equal(got, np.argsort(x, kind="stable"))
