"""Regions one after the other, and whose memory results are in."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch import allocator, dtypes
from jitorch.backends.joined import owned
from jitorch.builder import graph_of
from jitorch.compiler import compile_graph
from jitorch.ir.types import TensorType
from jitorch.ops import OPS

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_what_nobody_else_has_is_given_away() -> None:
    made, block = X + 1, allocator.empty((1 << 18,), np.dtype(np.float32))
    assert [a is b for a, b in zip(owned([made, block, 3], [X]), [made, block, 3])] == [True] * 3


def test_inputs_views_and_what_stands_there_twice_are_copied() -> None:
    made = X + 1
    results = owned([X, made, made, made.T, made[:1]], [X])
    assert results[1] is made
    for i, result in enumerate(results):
        assert result.flags.c_contiguous
        assert not any(np.shares_memory(result, other) for other in [X, *results[:i]])
    np.testing.assert_array_equal(results[3], made.T)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_results_of_a_program_are_its_own(backend: str) -> None:
    def views(x):
        order = OPS["argsort_axis"](x, axis=0, descending=False)
        turned = OPS["transpose_axes"](x, perm=(1, 0))
        return x, turned, order, order, OPS["reshape_to"](order, shape=(512,))

    graph = graph_of(views, [TensorType(dtypes.float32, (256, 2))], "views")
    x = np.random.default_rng(0).standard_normal((256, 2)).astype(np.float32)
    results = compile_graph(graph, backend).run([x])
    for i, result in enumerate(results):
        assert not any(np.shares_memory(result, other) for other in [x, *results[:i]])
    np.testing.assert_array_equal(results[0], x)
    np.testing.assert_array_equal(results[1], x.T)
    np.testing.assert_array_equal(results[2], np.argsort(x, 0, kind="stable"))
    np.testing.assert_array_equal(results[4], results[2].ravel())
