"""Regions one after the other: whose memory results are in, and sizes that are bound between them."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import allocator, dtypes
from jitorch.backends.joined import Binding, Joined, owned
from jitorch.builder import graph_of
from jitorch.compiler import compile_graph
from jitorch.dims import symbol
from jitorch.ir.types import TensorType
from jitorch.ops import OPS
from jitorch.passes import counts

X = np.arange(6, dtype=np.float32).reshape(2, 3)
MIXED = np.array([3.0, -1.0, 2.0, -2.0, 1.0])


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


@pytest.mark.parametrize("count", [0, 3])
def test_a_ramp_that_is_read_counts(count: int) -> None:
    table, sizes = [np.asarray(count), None], {}
    Binding(0, 1, symbol("n", computed=True)).bind(table, sizes)
    assert table[1].tolist() == list(range(count)) and sizes == {"n": count}


def test_a_ramp_that_is_not_read_has_a_size_only() -> None:
    table, sizes = [np.asarray(4), None], {}
    Binding(0, 1, symbol("n", computed=True), read=False).bind(table, sizes)
    assert table[1].shape == (4,) and sizes == {"n": 4}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x[x > 0], [3.0, 2.0, 1.0]),
        (lambda x: jitorch.arange(x[x > 0].shape[0]), [0, 1, 2]),
        (lambda x: x[x > 0][x[x > 0] > 1], [3.0, 2.0]),
        (lambda x: jitorch.zeros(x[x > 0].shape[0]) + x.max(), [3.0] * 3),
    ],
)
def test_results_of_bound_sizes(function, expected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "MOST_BYTES", 0)  # as where there may be many elements
    jitted = jitorch.jit(function, fullgraph=True)
    assert jitted(jitorch.tensor(MIXED)).tolist() == expected
    assert jitted(-jitorch.tensor(MIXED)).tolist() == function(-jitorch.tensor(MIXED)).tolist()
    (program,) = [c for entry in jitted.entries for c in entry.function.compiled]
    assert isinstance(program.executable, Joined) and program.executable.binds
