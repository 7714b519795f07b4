"""Matrix products and convolutions: the recipe's kernels, run by the interpreter."""

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

RNG = np.random.default_rng(0)


def floats(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


MATMUL = """graph @main(%x: {t}[{b}{m}, {k}], %y: {t}[{b}{k}, {n}]) {{
  %0: {t}[{b}{m}, {n}] = matmul_batched(%x, %y)
  return %0
}}"""

SIZES = [(1, 1, 1), (2, 3, 5), (7, 2, 16), (6, 4, 17), (13, 3, 20), (6, 0, 4), (1, 9, 40), (8, 5, 8)]
"""Rows, sums and lanes: below, at and above a tile, and no sums at all."""


@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_matrix_products(m: int, k: int, n: int) -> None:
    assert_lowers(MATMUL.format(t="f32", b="", m=m, k=k, n=n), floats(m, k), floats(k, n))


def test_other_dtypes() -> None:
    x, y = floats(3, 4, dtype=np.float64), floats(4, 9, dtype=np.float64)
    assert_lowers(MATMUL.format(t="f64", b="", m=3, k=4, n=9), x, y)
    i, j = RNG.integers(-9, 9, (3, 4)), RNG.integers(-9, 9, (4, 9))
    assert_lowers(MATMUL.format(t="i64", b="", m=3, k=4, n=9), i, j)


def test_batches_and_blocks_are_one_parallel_loop() -> None:
    lowered = assert_lowers(MATMUL.format(t="f32", b="2, 3, ", m=4, k=5, n=6), floats(2, 3, 4, 5), floats(2, 3, 5, 6))
    outer = lowered.kernels[0].body[0]
    assert isinstance(outer, k.For)
    assert (outer.kind, outer.extent) == ("parallel", k.const(6))


def test_a_tile_stays_in_local_memory_with_constant_indices() -> None:
    (kernel,) = assert_lowers(MATMUL.format(t="f32", b="", m=12, k=3, n=16), floats(12, 3), floats(3, 16)).kernels
    tile = next(b for b in kernel.scratch if b.name == "tile")
    assert tile.space == "local"
    constant = {s.var.name for s in k.walk(kernel) if isinstance(s, k.For) and s.kind in ("unroll", "vector")}
    for load in k.loads(kernel):
        if load.buffer == tile:
            assert {v.name for v in k.walk(load.index) if isinstance(v, k.Var)} <= constant


@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_transposed_operands(side: str) -> None:
    text = """graph @main(%x: f32[{x}], %y: f32[{y}]) {{
      %0: f32[8, 3] = {left}
      %1: f32[3, 20] = {right}
      %2: f32[8, 20] = matmul_batched(%0, %1)
      return %2
    }}"""
    left, right = side in ("left", "both"), side in ("right", "both")
    x, y = floats(3, 8) if left else floats(8, 3), floats(20, 3) if right else floats(3, 20)
    filled = text.format(
        x="3, 8" if left else "8, 3",
        y="20, 3" if right else "3, 20",
        left="transpose_axes(%x, perm=(1, 0))" if left else "copy(%x)",
        right="transpose_axes(%y, perm=(1, 0))" if right else "copy(%y)",
    )
    assert_lowers(filled, x, y)


def test_symbolic_sizes_have_tiles_too() -> None:
    n, m = symbol("N"), symbol("M")
    types = [TensorType(dtypes.float32, (n, 3)), TensorType(dtypes.float32, (3, m))]
    lowered = program(trace_types(lambda x, y: OPS["matmul_batched"](x, y), types))
    assert any(kernel.scratch for kernel in lowered.kernels)
    for rows, lanes in ((1, 1), (4, 5), (9, 40), (8, 16)):
        x, y = floats(rows, 3), floats(3, lanes)
        sizes = {"N": rows, "M": lanes}
        (actual,) = execute(lowered, [x, y], [x @ y], [sizes[v.name] for v in lowered.scalars])
        np.testing.assert_allclose(actual, x @ y, rtol=1e-5, atol=1e-6)
