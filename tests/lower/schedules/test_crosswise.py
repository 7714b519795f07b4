"""Tiles: maps whose operand is read across the way it lies."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import dtypes
from jitorch.dims import symbol
from jitorch.ir import kernel as k
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.schedules import crosswise
from jitorch.lower.schedules.squares import is_in_squares
from jitorch.ops import OPS
from tests.lower.assembly import MACHINES
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
    for rows in (0, 1, 3, 4, 16, 37, 70):
        x = np.arange(rows * 64).reshape(rows, 64)
        (actual,) = execute(lowered, [x], [x.T], [rows])
        np.testing.assert_array_equal(actual, x.T)


ADDED = """graph @main(%x: f32[{n}, {m}], %y: f32[{m}, {n}]) {{
  %0: f32[{m}, {n}] = transpose_axes(%x, perm=(1, 0))
  %1: f32[{m}, {n}] = add(%0, %y)
  return %1
}}"""


def matrix(n: int, m: int) -> np.ndarray:
    return np.arange(n * m, dtype=np.float32).reshape(n, m)


@pytest.mark.parametrize(("n", "m"), [(8, 8), (64, 32), (33, 71), (64, 100), (9, 200)])
def test_what_is_used_across_is_transposed_into_scratch_memory(n: int, m: int) -> None:
    (kernel,) = assert_lowers(ADDED.format(n=n, m=m), matrix(n, m), matrix(m, n)).kernels
    assert [buffer.name for buffer in kernel.scratch] == ["tile0", "square1"]


def test_a_copy_needs_no_scratch_memory_but_squares() -> None:
    (kernel,) = assert_lowers(TEXT.format(n=65, m=71), np.arange(65 * 71).reshape(65, 71)).kernels
    assert [buffer.name for buffer in kernel.scratch] == ["square0"]
    assert is_in_squares(kernel)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("n", "m"), [(33, 71), (64, 96)])
def test_squares_of_each_processor_under_the_strict_interpreter(machine: str, n: int, m: int) -> None:
    types = [TensorType(dtypes.float32, shape) for shape in ((n, m), (m, n))]
    graph = trace_types(lambda x, y: OPS["add"](OPS["transpose_axes"](x, perm=(1, 0)), y), types)
    x, y = matrix(n, m), matrix(m, n)
    (actual,) = execute(program(graph, "main", MACHINES[machine][0]), [x, y], [y])
    np.testing.assert_array_equal(actual, x.T + y)


def large(n: int, m: int, dtype: dtypes.DType) -> k.Kernel:
    types = [TensorType(dtype, (n, m))]
    graph = trace_types(lambda x: OPS["transpose_axes"](x, perm=(1, 0)), types)
    return program(graph, "main", MACHINES["avx512"][0]).kernels[0]


def test_large_results_are_stored_past_the_caches() -> None:
    kernel = large(2048, 2048, dtypes.float32)
    assert kernel.scratch[0].size == crosswise.SIDES[0] ** 2
    assert {s.streamed for s in k.walk(kernel) if isinstance(s, k.Store) and s.buffer.space == "global"} == {True}


def test_scratch_memory_is_bounded() -> None:
    kernel = large(2049, 2049, dtypes.float64)
    assert kernel.scratch[0].size == (2 * crosswise.SIDES[1]) ** 2
    many = [TensorType(dtypes.float64, (65, 65))] * 12
    graph = trace_types(lambda *xs: sum(OPS["transpose_axes"](x, perm=(1, 0)) for x in xs[1:]) + xs[0], many)
    (kernel,) = program(graph).kernels
    tiles = [buffer for buffer in kernel.scratch if buffer.name.startswith("tile")]
    assert len(tiles) == crosswise.MOST_LOADS
    assert sum(8 * (buffer.size or 0) for buffer in tiles) <= crosswise.MOST_BYTES


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float16", "float32", "float64", "int64"])
@pytest.mark.parametrize("shape", [(17, 17), (40, 129), (2, 37, 50), (3, 20, 2, 40)])
def test_compiled_transposes_and_permutes(dtype: str, shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    axes = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    turned = jitorch.jit(lambda t: t.permute(*axes).contiguous())(jitorch.tensor(x))
    np.testing.assert_array_equal(turned.numpy(), x.transpose(axes))
    outermost = jitorch.jit(lambda t: t.movedim(-1, 0).contiguous())(jitorch.tensor(x))
    np.testing.assert_array_equal(outermost.numpy(), np.moveaxis(x, -1, 0))


@pytest.mark.parametrize("turns", [1, 3])
def test_quarter_turns_read_backwards(turns: int) -> None:
    x = matrix(40, 70)
    actual = jitorch.jit(lambda t: jitorch.rot90(t, turns))(jitorch.tensor(x))
    np.testing.assert_array_equal(actual.numpy(), np.rot90(x, turns))


def test_sizes_that_vary() -> None:
    step = jitorch.jit(lambda a, b: a.t() * 2 + b, dynamic=True)
    for n, m in ((20, 30), (40, 30), (3, 90), (64, 65), (1, 7), (129, 33)):
        x, y = matrix(n, m), matrix(m, n)
        np.testing.assert_array_equal(step(jitorch.tensor(x), jitorch.tensor(y)).numpy(), x.T * 2 + y)
