"""Checks of indices: before the loops in which they do not change, or after the loops that they would hold up."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.builder import graph_of
from jitorch.dims import symbol
from jitorch.dtypes import float32, int64
from jitorch.errors import TensorIndexError
from jitorch.ir import kernel as k
from jitorch.ir.types import TensorType
from jitorch.lower.program import program
from jitorch.lower.pull import STATUS
from jitorch.lower.schedules.checks import CHUNK, gather_checks, hoist_checks
from jitorch.ops import OPS
from tests.samples import compile_graph


def rows(table, size, columns):
    types = [TensorType(float32, (table, columns)), TensorType(int64, (size,))]
    return graph_of(lambda x, i: OPS["take"](x, i, axis=0), types)


def picked(table, size):
    types = [TensorType(float32, (table,)), TensorType(int64, (size,))]
    return graph_of(lambda x, i: OPS["gather_axis"](x, i, axis=0), types)


def checks(tree: object) -> list[k.If]:
    return [s for s in k.walk(tree) if isinstance(s, k.If) and any(isinstance(t, k.Store) for t in s.then)]


def innermost(kernel: k.Kernel) -> list[k.For]:
    loops = [s for s in k.walk(kernel) if isinstance(s, k.For)]
    return [loop for loop in loops if not any(isinstance(s, k.For) for s in k.walk(loop.body))]


def kernel_of(graph) -> k.Kernel:
    (kernel,) = program(graph).kernels
    return kernel


def test_a_row_is_checked_once() -> None:
    kernel = kernel_of(rows(10, 50, 64))
    assert checks(kernel)
    assert not checks(innermost(kernel)[0].body)


def test_each_element_is_checked_and_the_status_set_after_the_loop() -> None:
    kernel = kernel_of(picked(10, 100 * CHUNK + 3))
    assert len(innermost(kernel)) == 2  # the chunks, and what is left
    for loop in innermost(kernel):
        assert loop.kind == "serial"
        assert not checks(loop.body)
    assert len(checks(kernel)) == 2


def test_few_long_rows_stay_shared_among_threads() -> None:
    kernel = kernel_of(rows(10, 2, 1 << 16))
    assert all(loop.kind == "parallel" for loop in innermost(kernel))


def test_a_loop_that_may_have_no_turn_is_checked_if_it_has_one() -> None:
    kernel = kernel_of(rows(10, 50, symbol("C")))
    assert not checks(innermost(kernel)[0].body)
    (guard,) = [s for s in k.walk(kernel) if isinstance(s, k.If) and innermost(s.then)]
    assert str(guard.test) == "C > 0"
    assert checks(guard.then)
    compiled = compile_graph(rows(10, 3, symbol("C")))
    wrong = np.array([1, 10, 2])
    assert compiled.run([np.zeros((10, 0), np.float32), wrong])[0].shape == (3, 0)
    with pytest.raises(TensorIndexError):
        compiled.run([np.zeros((10, 1), np.float32), wrong])


def test_checks_stay_inside_of_loops_of_unknown_extent_that_threads_share() -> None:
    kernel = kernel_of(graph_of(lambda x, i: OPS["take"](x, i, axis=0), _SYMBOLS))
    (outer,) = kernel.body
    assert [type(s) for s in outer.body] == [k.For]  # both loops are one region
    assert not checks(innermost(kernel)[0].body)


_SYMBOLS = [TensorType(float32, (symbol("A"), symbol("B"), symbol("C"))), TensorType(int64, (symbol("D"),))]


def test_elements_of_a_line_of_unknown_length() -> None:
    kernel = kernel_of(picked(symbol("A"), symbol("B")))
    assert [loop.kind for loop in innermost(kernel)] == ["serial", "serial"]
    assert not any(checks(loop.body) for loop in innermost(kernel))


def test_two_indices_of_which_one_changes_in_the_loop() -> None:
    types = [
        *_SYMBOLS[:1],
        TensorType(int64, (symbol("D"),)),
        TensorType(int64, (symbol("D"), symbol("B"), symbol("E"))),
    ]
    graph = graph_of(lambda x, i, j: OPS["gather_axis"](OPS["take"](x, i, axis=0), j, axis=2), types)
    for kernel in program(graph).kernels:
        assert all(not checks(loop.body) for loop in innermost(kernel))
    compiled = compile_graph(graph)
    x = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
    i, j = np.array([3, 1, 1]), np.random.default_rng(1).integers(0, 5, (3, 3, 7))
    np.testing.assert_array_equal(compiled.run([x, i, j])[0], np.take_along_axis(x[i], j, 2))
    for bad in ((np.array([4, 0, 0]), j), (i, np.where(j == j.max(), 5, j))):
        with pytest.raises(TensorIndexError):
            compiled.run([x, *bad])


@pytest.mark.parametrize("schedule", [hoist_checks, gather_checks])
def test_a_kernel_without_checks_stays_as_it_is(schedule) -> None:
    graph = graph_of(lambda x: OPS["neg"](x), [TensorType(float32, (40, 50))])
    kernel = kernel_of(graph)
    assert STATUS not in kernel.params
    assert schedule(kernel) is kernel


def test_what_is_written_in_the_loop_is_not_read_before_it() -> None:
    x, i = k.Buffer("x", int64), k.Var("i")
    read = k.Var("t")
    check = k.If(read > 3, (k.Store(STATUS, k.const(0), k.const(1, STATUS.dtype)),))
    body = (k.Let(read, k.Load(x, k.const(0))), check, k.Store(x, k.const(0), i))
    kernel = k.verify(k.Kernel("f", (x, STATUS), (), (k.For(i, k.const(9), body),)))
    assert hoist_checks(kernel) == kernel


@pytest.mark.parametrize("size", [5, 100, CHUNK, 9 * CHUNK, 9 * CHUNK + 5])
@pytest.mark.parametrize("known", [True, False])
def test_values_and_errors(size: int, known: bool) -> None:
    rng = np.random.default_rng(0)
    sizes = (30, size, 12) if known else (symbol("A"), symbol("B"), symbol("C"))
    for graph, shape in ((picked(*sizes[:2]), (30,)), (rows(*sizes), (30, 12))):
        compiled = compile_graph(graph)
        x, place = rng.normal(size=shape).astype(np.float32), rng.integers(-30, 30, size)
        place = np.abs(place) % 30 if graph.nodes[0].op.name == "gather_axis" else place
        np.testing.assert_array_equal(compiled.run([x, place])[0], x[place])
        for bad in (30, -31):
            wrong = place.copy()
            wrong[rng.integers(size)] = bad
            with pytest.raises(TensorIndexError):
                compiled.run([x, wrong])
