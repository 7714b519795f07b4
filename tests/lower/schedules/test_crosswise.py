"""Tiles: maps whose operand is read across the way it lies."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.dims import symbol
from jitorch.ir import kernel as k
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.ops import OPS
from tests.lower.graphs import assert_lowers, execute
from tests.samples import trace_types

TEXT = "graph @main(%x: i64[{n}, {m}]) {{ %0: i64[{m}, {n}] = transpose_axes(%x, perm=(1, 0)) return %0 }}"


def blocks(kernel: k.Kernel) -> int:
    return sum(isinstance(s, k.For) and s.var.name.endswith("_block") for s in k.walk(kernel))


@pytest.mark.parametrize(("n", "m"), [(64, 80), (65, 71), (64, 100)])
def test_a_transpose_runs_in_tiles(n: int, m: int) -> None:
    lowered = assert_lowers(TEXT.format(n=n, m=m), np.arange(n * m).reshape(n, m))
    assert blocks(lowered.kernels[0]) == 2


def test_short_axes_do_not() -> None:
    assert blocks(assert_lowers(TEXT.format(n=3, m=80), np.arange(240).reshape(3, 80)).kernels[0]) == 0


def test_reading_the_way_it_lies_needs_none() -> None:
    text = """graph @main(%x: f32[64, 80]) {
      %0: f32[64, 40] = slice_axes(%x, starts=(0, 0), stops=(64, 40), steps=(1, 1))
      return %0
    }"""
    assert blocks(assert_lowers(text, np.zeros((64, 80), np.float32)).kernels[0]) == 0


def test_symbolic_sizes() -> None:
    n = symbol("N")
    graph = trace_types(lambda x: OPS["transpose_axes"](x, perm=(1, 0)), [TensorType(dtypes.int64, (n, 64))])
    lowered = program(graph)
    assert blocks(lowered.kernels[0]) == 2
    for rows in (0, 1, 16, 37):
        x = np.arange(rows * 64).reshape(rows, 64)
        (actual,) = execute(lowered, [x], [x.T], [rows])
        np.testing.assert_array_equal(actual, x.T)
