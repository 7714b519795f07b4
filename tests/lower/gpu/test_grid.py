"""Kernels on blocks and threads compute what they did on one processor."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Kernel, Var, verify
from jitorch.ir.kernel_interpret import run
from jitorch.ir.kernel_text import parse_kernel
from jitorch.lower.gpu.grid import for_gpu
from jitorch.lower.gpu.launch import Geometry
from jitorch.lower.schedules import schedule
from tests.ir.random_kernels import arguments, runnable
from tests.lower.random_nests import loop_nests, results


def kernel(text: str) -> Kernel:
    return verify(parse_kernel(text))


def text_of(kernel: Kernel) -> str:
    return " ".join(str(kernel).split())


@given(loop_nests(), st.sampled_from([1, 4, 16]))
@settings(max_examples=60, deadline=None)
def test_nests_compute_the_same(nest: Kernel, threads: int) -> None:
    scheduled, _ = for_gpu(nest, threads)
    for n, m in [(0, 2), (3, 2), (4, 5)]:
        for before, after in zip(results(nest, n, m), results(scheduled, n, m), strict=True):
            np.testing.assert_array_equal(after, before)


@given(runnable(), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_any_kernel_computes_the_same(kernel: Kernel, seed: int) -> None:
    scheduled, _ = for_gpu(kernel, 8)
    before, after = arguments(kernel, seed), arguments(kernel, seed)
    run(kernel, before)
    run(scheduled, after)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(b, a)


def test_elementwise() -> None:
    scheduled, geometry = for_gpu(
        kernel("kernel @f(x: f32*, y: f32*, n: i64) { for i in parallel(n) { y[i] = x[i] } }")
    )
    assert text_of(scheduled) == (
        "kernel @f(x: f32*, y: f32*, n: i64) { for block in block((n + 255) // 256) { for thread in thread(256) { "
        "let i: i64 = block * 256 + thread if i < n { y[i] = x[i] } } } }"
    )
    assert geometry == Geometry(((Var("n") + 255) // 256,), (256,), 0)


def test_all_independent_loops_become_one_range() -> None:
    text = """
    kernel @f(x: f32*, y: f32*, n: i64) {
      for i in parallel(n) {
        for j in serial(3) {
          for k in serial(4) { y[i * 12 + j * 4 + k] = x[k * 3 + j] }
        }
      }
    }"""
    scheduled, geometry = for_gpu(kernel(text))
    assert [str(e) for e in geometry.grid] == ["(maximum(n, 0) * 12 + 255) // 256"]
    assert "let i: i64 = item // 12 let j: i64 = item // 4 % 3 let k: i64 = item % 4" in text_of(scheduled)


def test_a_reduction_over_columns_has_a_thread_a_column() -> None:
    text = """
    kernel @f(x: f32*, y: f32*, n: i64, m: i64) {
      for c in serial(m) { y[c] = 0.0 }
      for r in serial(n) { for c in serial(m) { y[c] = y[c] + x[r * m + c] } }
    }"""
    scheduled, geometry = for_gpu(kernel(text))
    assert geometry == Geometry(((Var("m") + 255) // 256,), (256,), 0)
    assert "if c < m { y[c] = 0.0 for r in serial(n) { y[c] = y[c] + x[r * m + c] } }" in text_of(scheduled)


def test_what_has_no_order_to_share_runs_in_one_block() -> None:
    text = """
    kernel @f(x: f32*, y: f32*, n: i64) {
      var s: f32 = 0.0
      for i in serial(n) { s = s + x[i] }
      for i in parallel(n) { y[i] = x[i] / s }
      for i in serial(n - 1) { y[i + 1] = y[i + 1] + y[i] }
    }"""
    before = kernel(text)
    scheduled, geometry = for_gpu(before)
    assert geometry == Geometry((), (256,), 0)
    x = np.arange(300, dtype=np.float32)
    y, z = np.zeros(300, np.float32), np.zeros(300, np.float32)
    run(before, [x, y, 300])
    run(scheduled, [x, z, 300])
    np.testing.assert_array_equal(y, z)


def test_few_items_take_few_threads() -> None:
    _, geometry = for_gpu(kernel("kernel @f(y: f32*) { for i in parallel(40) { y[i] = 1.0 } }"))
    assert geometry == Geometry((k.const(1),), (64,), 0)


def test_a_kernel_for_a_gpu_is_taken_as_it_is() -> None:
    text = "kernel @f(y: f32*) { shared t: f32[8] for b in block(2) { for i in thread(8) { y[b * 8 + i] = 1.0 } } }"
    scheduled, geometry = for_gpu(kernel(text))
    assert scheduled == kernel(text)
    assert geometry == Geometry((k.const(2),), (8,), 32)


MATMUL = """
kernel @matmul(a: f32*, b: f32*, c: f32*) {
  for i in parallel(8) {
    for j in parallel(12) {
      var total: f32 = 0.0
      for k in serial(16) { total = total + a[i * 16 + k] * b[k * 12 + j] }
      c[i * 12 + j] = total
    }
  }
}"""


def tiled_matmul() -> Kernel:
    """The plain product on 2 x 3 blocks of 4 x 4 threads, with tiles of both operands in shared memory."""
    tiled = schedule.split(schedule.split(kernel(MATMUL), "i", 4), "j", 4)
    tiled = schedule.reorder(tiled, "i_inner", "j_outer")
    for loop, kind in [("i_outer", "block"), ("j_outer", "block"), ("i_inner", "thread"), ("j_inner", "thread")]:
        tiled = schedule.bind(tiled, loop, kind)
    tiled = schedule.split(tiled, "k", 4)
    io, jo, ko = Var("i_outer"), Var("j_outer"), Var("k_outer")
    tiled = schedule.stage(tiled, "a", "k_outer", io * 64 + ko * 4, (4, 4), (k.const(16), k.const(1)))
    return schedule.stage(tiled, "b", "k_outer", ko * 48 + jo * 4, (4, 4), (k.const(12), k.const(1)))


def test_tiled_matmul() -> None:
    tiled = tiled_matmul()
    a, b, c = (np.arange(n, dtype=np.float32) for n in (128, 192, 96))
    run(tiled, [a, b, c])
    np.testing.assert_array_equal(c.reshape(8, 12), a.reshape(8, 16) @ b.reshape(16, 12))
    _, geometry = for_gpu(tiled)
    assert geometry == Geometry((k.const(3), k.const(2)), (4, 4), 128)
    assert [load.buffer.name for load in k.loads(tiled)] == ["b", "a", "a_tile", "b_tile"]


@pytest.mark.parametrize("number", [0, 1])
def test_every_barrier_of_a_tiled_matmul_is_needed(number: int) -> None:
    tiled = tiled_matmul()
    lines = str(tiled).splitlines()
    barriers = [i for i, line in enumerate(lines) if line.strip() == "barrier"]
    assert len(barriers) == 2
    del lines[barriers[number]]
    a, b, c = (np.arange(n, dtype=np.float32) for n in (128, 192, 96))
    broken = parse_kernel("\n".join(lines))
    with contextlib.suppress(CompilerBug):
        run(broken, [a, b, c])
    assert not np.array_equal(c.reshape(8, 12), a.reshape(8, 16) @ b.reshape(16, 12))
