"""Rows added up: in one go if there are few, in chunks and their sum if there are many."""

from __future__ import annotations

import numpy as np

from jitorch import dtypes
from jitorch.dims import symbol
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.rows.columns import CHUNK, Chunks
from jitorch.lower.rows.frame import Split, frames
from jitorch.ops import OPS
from tests.lower.graphs import assert_lowers, execute
from tests.samples import trace_types

RNG = np.random.default_rng(0)


def text(rows: int, columns: int, op: str = "reduce_sum") -> str:
    return f"graph @main(%x: i64[{rows}, {columns}]) {{ %0: i64[{columns}] = {op}(%x, axes=(0,)) return %0 }}"


def test_few_rows_are_added_right_into_the_result() -> None:
    (kernel,) = assert_lowers(text(7, 9), RNG.integers(-9, 9, (7, 9))).kernels
    assert [p.name for p in kernel.params] == ["out0", "in0"]


def test_many_rows_are_added_in_chunks_that_run_at_once() -> None:
    lowered = assert_lowers(text(17, 4097), RNG.integers(-9, 9, (17, 4097)))
    assert [kernel.name for kernel in lowered.kernels] == ["reduce_sum_1", "reduce_sum_1_columns"]
    assert "in parallel" in str(lowered.kernels[0])


def test_the_number_of_chunks_depends_on_the_domain_alone() -> None:
    def count(rows: int, columns: int) -> str:
        return str(Chunks.of(next(frames(Split((rows, columns), (0,))))).count)

    assert count(64, CHUNK // 64) == "1"
    assert count(65, CHUNK // 64) == "2"
    assert count(640, CHUNK // 64) == "10"


def test_a_symbolic_number_of_rows_may_be_any() -> None:
    n = symbol("N")
    graph = trace_types(lambda x: OPS["reduce_sum"](x, axes=(0,)), [TensorType(dtypes.int64, (n, CHUNK // 16))])
    lowered = program(graph)
    for rows in (0, 1, 17):
        x = RNG.integers(-9, 9, (rows, CHUNK // 16))
        (actual,) = execute(lowered, [x], [x.sum(0)], [rows])
        np.testing.assert_array_equal(actual, x.sum(0))


def test_other_monoids() -> None:
    assert_lowers(text(17, 4097, "reduce_max"), RNG.integers(-9, 9, (17, 4097)))
