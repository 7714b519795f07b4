"""Rows that go along together: any number of rows and elements, in squares or one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.ir.kernel_interpret import run
from jitorch.lower.rows.together import together
from jitorch.lower.target import CPU

ROW, ELEMENT = k.Var("row"), k.Var("element")
X, Y, ENDS = (k.Buffer(name, dtypes.float32) for name in ("x", "y", "ends"))
WIDTH = CPU.lanes(dtypes.float32)


def running_sum(rows: int, count: int, place: k.Expr, stores: bool = True) -> k.Kernel:
    """Sums along each row up to each element, and of all."""
    total = k.Var("total", dtypes.float32)
    step = (k.Assign(total, total + k.Load(X, place)), *((k.Store(Y, place, total),) if stores else ()))
    body = (
        k.Local(total, k.const(0.0, dtypes.float32)),
        k.For(ELEMENT, k.const(count), step),
        k.Store(ENDS, ROW, total),
    )
    params = (X, Y, ENDS) if stores else (X, ENDS)
    return k.verify(k.Kernel("sums", params, (), (k.For(ROW, k.const(rows), body, "parallel"),)))


def kinds(kernel: k.Kernel) -> set[str]:
    return {s.kind for s in k.walk(kernel) if isinstance(s, k.For)}


def results(kernel: k.Kernel, x: np.ndarray) -> list[np.ndarray]:
    arrays: list[Any] = [x.ravel(), np.zeros(x.size, np.float32), np.zeros(len(x), np.float32)]
    run(kernel, [arrays[(X, Y, ENDS).index(p)] for p in kernel.params])
    return arrays[1:]


@pytest.mark.parametrize("rows", [1, WIDTH - 1, WIDTH, WIDTH + 1, 3 * WIDTH])
@pytest.mark.parametrize("count", [0, 1, WIDTH - 1, WIDTH, 2 * WIDTH + 3])
@pytest.mark.parametrize("stores", [True, False])
def test_results_are_the_same(rows: int, count: int, stores: bool) -> None:
    kernel = running_sum(rows, count, ROW * count + ELEMENT, stores)
    made = together(kernel, CPU)
    x = np.random.default_rng(0).normal(size=(rows, count)).astype(np.float32)
    for found, expected in zip(results(made, x), results(kernel, x), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert (made is kernel) == (rows < WIDTH)


def test_rows_along_memory_go_through_a_square_for_each_load_and_store() -> None:
    made = together(running_sum(WIDTH, 100, ROW * 100 + ELEMENT), CPU)
    assert sorted(b.size or 0 for b in made.scratch) == [WIDTH, WIDTH * WIDTH, WIDTH * WIDTH]
    assert kinds(made) == {"parallel", "serial", "unroll", "vector"}


def test_elements_that_are_no_neighbours_are_gathered() -> None:
    made = together(running_sum(WIDTH, 100, ROW * 200 + ELEMENT * 2), CPU)
    assert [b.size for b in made.scratch] == [WIDTH]
    assert kinds(made) == {"parallel", "serial", "vector"}


def test_what_stands_before_the_rows_stays_there() -> None:
    kernel = running_sum(2 * WIDTH, 9, ROW * 9 + ELEMENT)
    first = k.Let(k.Var("nine"), k.const(9))
    made = together(k.verify(k.Kernel(kernel.name, kernel.params, (), (first, *kernel.body))), CPU)
    assert made.body[0] == first and len(made.body) == 3


def test_statements_that_are_not_simple_stay_as_they_are() -> None:
    choice = k.If(k.Load(X, ROW) > 0, (k.Store(Y, ROW, k.const(1.0, dtypes.float32)),))
    kernel = k.verify(k.Kernel("choice", (X, Y), (), (k.For(ROW, k.const(100), (choice,), "parallel"),)))
    assert together(kernel, CPU) is kernel
