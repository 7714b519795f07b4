"""Blocks of neighbouring rows that go along together, where rows lie across the memory."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.dims import symbol
from jitorch.ir import kernel as k
from jitorch.ir.kernel_text import parse_kernel
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.rows.abreast import NARROW, WIDE, abreast
from jitorch.ops import OPS
from tests.lower.graphs import assert_lowers, execute
from tests.samples import trace_types

RNG = np.random.default_rng(0)


def lanes(kernel: k.Kernel) -> set[int | None]:
    return {b.size for b in kernel.scratch if b.name.endswith("_lanes")}


@pytest.mark.parametrize(("rows", "width"), [(NARROW, NARROW), (37, NARROW), (512, WIDE), (530, WIDE)])
@pytest.mark.parametrize("op", ["argmax", "argmin"])
def test_positions_of_extrema_along_columns(op: str, rows: int, width: int) -> None:
    text = f"graph @main(%x: f32[9, {rows}]) {{ %0: i64[{rows}] = reduce_{op}(%x, axes=(0,)) return %0 }}"
    x = RNG.integers(0, 5, (9, rows)).astype(np.float32)
    x[4, 3] = np.nan
    lowered = assert_lowers(text, x)
    assert lanes(lowered.kernels[0]) == {width}


@pytest.mark.parametrize("op", ["sum", "max"])
def test_rows_of_a_transposed_operand(op: str) -> None:
    text = f"""graph @main(%x: f32[11, 40]) {{
      %0: f32[40, 11] = transpose_axes(%x, perm=(1, 0))
      %1: f32[40] = reduce_{op}(%0, axes=(1,))
      %2: f32[40] = exp(%1)
      return %2
    }}"""
    lowered = assert_lowers(text, RNG.normal(size=(11, 40)).astype(np.float32))
    assert lanes(lowered.kernels[0]) == {NARROW}


def test_two_passes_over_a_row() -> None:
    text = """graph @main(%x: f32[12, 48]) {
      %0: f32[48, 12] = transpose_axes(%x, perm=(1, 0))
      %1: f32[48] = reduce_max(%0, axes=(1,))
      %2: f32[48, 1] = reshape_to(%1, shape=(48, 1))
      %3: f32[48, 12] = broadcast_to(%2, shape=(48, 12))
      %4: f32[48, 12] = sub(%0, %3)
      %5: f32[48, 12] = exp(%4)
      %6: f32[48] = reduce_sum(%5, axes=(1,))
      return %6
    }"""
    lowered = assert_lowers(text, RNG.normal(size=(12, 48)).astype(np.float32))
    assert len(lowered.kernels) == 1
    assert lanes(lowered.kernels[0]) == {NARROW}


@pytest.mark.parametrize(
    "text",
    [
        "graph @main(%x: f32[40, 9]) { %0: f32[40] = reduce_sum(%x, axes=(1,)) return %0 }",
        "graph @main(%x: f32[9, 8]) { %0: i64[8] = reduce_argmax(%x, axes=(0,)) return %0 }",
    ],
    ids=["along", "few"],
)
def test_other_rows_go_one_by_one(text: str) -> None:
    shape = (40, 9) if "40" in text else (9, 8)
    assert lanes(assert_lowers(text, RNG.normal(size=shape).astype(np.float32)).kernels[0]) == set()


def test_a_kernel_that_reads_both_ways_stays() -> None:
    kernel = parse_kernel(
        "kernel @f(x: f32*, y: f32*, z: f32*) { for i in parallel(64) { var s: f32 = 0.0 "
        "for j in serial(64) { s = s + x[j * 64 + i] * y[i * 64 + j] } z[i] = s } }"
    )
    assert abreast(kernel) is kernel


def test_symbolic_sizes() -> None:
    n = symbol("N")
    graph = trace_types(lambda x: OPS["reduce_argmax"](x, axes=(0,)), [TensorType(dtypes.int64, (7, n))])
    lowered = program(graph)
    assert lanes(lowered.kernels[0]) == {WIDE}
    for rows in (1, 64, 71):
        x = RNG.integers(0, 9, (7, rows))
        (actual,) = execute(lowered, [x], [x.argmax(0)], [rows])
        np.testing.assert_array_equal(actual, x.argmax(0))
