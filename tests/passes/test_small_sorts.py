"""Sorts of a few elements by counting."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch.builder import graph_of
from jitorch.ir.graph import Graph
from jitorch.ir.verify import verify
from jitorch.ops.sorting import argsort_axis
from jitorch.passes.small_sorts import MOST, SHORT, count_small_sorts
from tests.control import f64, meaning

RNG = np.random.default_rng(0)
NAN = float("nan")


def sorting(axis: int, descending: bool, *shape: int) -> Graph:
    return graph_of(lambda x: argsort_axis(x, axis=axis, descending=descending), [f64(*shape)])


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("axis", "values"),
    [
        (0, np.array([3.0, 1.0, 2.0])), (0, np.array([1.0, 1.0, 0.0, 1.0])), (0, np.array([NAN, 1.0, NAN, -np.inf])),
        (0, np.array([7.0])), (1, RNG.normal(size=(3, 5))), (0, RNG.integers(0, 3, (6, 2)).astype(float)),
        (1, RNG.integers(0, 3, (2, 6, 2)).astype(float)),
    ],
    ids=["a line", "equal ones", "nan", "one", "rows", "columns", "the middle axis"],
)  # fmt: skip
def test_the_order_is_the_same(axis: int, values: np.ndarray, descending: bool) -> None:
    graph = sorting(axis, descending, *values.shape)
    work = graph.copy()
    assert count_small_sorts(work, lambda node: False)
    verify(work)
    assert not any(node.op is argsort_axis for node in work.nodes)
    np.testing.assert_array_equal(meaning(work, [values])[0], meaning(graph, [values])[0])


def test_long_sorts_and_kept_ones_stay() -> None:
    assert not count_small_sorts(sorting(0, False, MOST + 1), lambda node: False)
    assert not count_small_sorts(sorting(0, False, 0), lambda node: False)
    assert not count_small_sorts(sorting(0, False, 3), lambda node: True)


def test_many_lines_must_be_short() -> None:
    assert count_small_sorts(sorting(1, False, 10_000, SHORT), lambda node: False)
    assert not count_small_sorts(sorting(1, False, 10_000, SHORT + 1), lambda node: False)
    assert count_small_sorts(sorting(1, False, 10, MOST), lambda node: False)
    assert count_small_sorts(sorting(1, False, 10_000, MOST), lambda node: False, is_inner=True)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", "bool"])
def test_sorts_are_native(dtype: str) -> None:
    def run(x):
        values, places = jitorch.topk(x, 3)
        return values, places, jitorch.sort(x, 0).values, x.argsort(1, True)

    x = jitorch.tensor(RNG.integers(0, 9, (4, 7))).to(getattr(jitorch, dtype))
    compiled = jitorch.jit(run, fullgraph=True)
    for got, want in zip(compiled(x), run(x), strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy())
    assert compiled.statistics.native == 1
