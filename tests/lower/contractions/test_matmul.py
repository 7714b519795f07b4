"""Matrix products: any shape, layout, dtype and epilogue against NumPy, run as native code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jitorch
from jitorch import dtypes
from jitorch.dims import Dim, symbol
from jitorch.ir import kernel as k
from jitorch.ir.program import Launch, Program
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.target import Target
from jitorch.ops import OPS
from tests.lower.graphs import assert_lowers, execute, parse
from tests.samples import trace_types

RNG = np.random.default_rng(0)
SIZES = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 32, 33, 47, 64, 65, 100])
TARGETS = {
    "avx512": Target("cpu", 64, 32),
    "avx2": Target("cpu", 32, 16),
    "sse2": Target("cpu", 16, 16, False),
    "neon": Target("cpu", 16, 32),
}


def multiply(x: Any, y: Any) -> Any:
    return x @ y


def values(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    """Small whole numbers: their products and sums are exact in any order."""
    return RNG.integers(-4, 5, shape).astype(dtype)


@settings(deadline=None, max_examples=40)
@given(m=SIZES, inner=st.sampled_from([0, 1, 3, 16, 33, 70]), n=SIZES, left=st.booleans(), right=st.booleans())
def test_any_shape_and_layout(m: int, inner: int, n: int, left: bool, right: bool) -> None:
    x = values(inner, m).T if left else values(m, inner)
    y = values(n, inner).T if right else values(inner, n)

    def function(x: Any, y: Any) -> Any:
        a, b = (x.mT if left else x), (y.mT if right else y)
        return jitorch.relu(a @ b + 1)

    stored = [np.ascontiguousarray(a) for a in (x.T if left else x, y.T if right else y)]
    actual = jitorch.jit(function)(*map(jitorch.tensor, stored)).numpy()
    np.testing.assert_array_equal(actual, np.maximum(x @ y + 1, 0))


@pytest.mark.parametrize(("rows", "lanes"), [(1, 65), (5, 100), (1, 61)])
def test_a_last_panel_of_dots_may_begin_before_its_block(rows: int, lanes: int) -> None:
    x, y = values(rows, 40), values(lanes, 40)
    text = f"""graph @main(%x: f32[{rows}, 40], %y: f32[{lanes}, 40]) {{
      %0: f32[40, {lanes}] = transpose_axes(%y, perm=(1, 0))
      %1: f32[{rows}, {lanes}] = matmul_batched(%x, %0)
      return %1
    }}"""
    assert_lowers(text, x, y)
    for _ in range(3):
        np.testing.assert_array_equal((jitorch.tensor(x) @ jitorch.tensor(y).mT).numpy(), x @ y.T)


def lowered(x: tuple[Dim, ...], y: tuple[Dim, ...], target: str, dtype: Any = dtypes.float32) -> Program:
    types = [TensorType(dtype, x), TensorType(dtype, y)]
    return program(trace_types(lambda a, b: OPS["matmul_batched"](a, b), types), "product", TARGETS[target])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("m", "inner", "n"), [(9, 4, 33), (3, 40, 5), (17, 3, 2)])
def test_every_target_under_the_strict_interpreter(target: str, m: int, inner: int, n: int) -> None:
    x, y = values(m, inner), values(inner, n)
    (actual,) = execute(lowered(x.shape, y.shape, target), [x, y], [x @ y])
    np.testing.assert_array_equal(actual, x @ y)


@pytest.mark.parametrize("free", ["M", "K", "N", "MKN"])
def test_symbolic_sizes_under_the_strict_interpreter(free: str) -> None:
    sizes: dict[str, Dim] = {"M": 11, "K": 6, "N": 18}
    known = {"M": 11, "K": 6, "N": 18}
    for name in free:
        sizes[name] = symbol(name)
    made = lowered((sizes["M"], sizes["K"]), (sizes["K"], sizes["N"]), "avx2")
    x, y = values(11, 6), values(6, 18)
    (actual,) = execute(made, [x, y], [x @ y], [known[v.name] for v in made.scalars])
    np.testing.assert_array_equal(actual, x @ y)


@pytest.mark.parametrize("batch", [1, 5, 8, 40])
def test_a_dynamic_batch_size(batch: int) -> None:
    weight, bias = values(30, 40), values(30)
    step = jitorch.jit(lambda x, w, b: jitorch.relu(x @ w.mT + b), dynamic=True)
    for size in (2, 3, batch):
        x = values(size, 40)
        actual = step(jitorch.tensor(x), jitorch.tensor(weight), jitorch.tensor(bias)).numpy()
        np.testing.assert_array_equal(actual, np.maximum(x @ weight.T + bias, 0))


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "int64", "int8", "uint8"])
@pytest.mark.parametrize(("m", "n"), [(1, 20), (20, 3), (20, 37)])
def test_other_dtypes(dtype: str, m: int, n: int) -> None:
    x, w = values(m, 40, dtype=dtype), values(n, 40, dtype=dtype)
    product = jitorch.jit(lambda x, w: x @ w.mT)(jitorch.tensor(x), jitorch.tensor(w)).numpy()
    expected = (x.astype(np.float64) @ w.astype(np.float64).T).astype(np.int64).astype(dtype)
    np.testing.assert_array_equal(product, expected)


def test_long_sums_go_in_chunks() -> None:
    x, y = values(40, 1000), values(1000, 70)
    actual = jitorch.jit(multiply)(jitorch.tensor(x), jitorch.tensor(y)).numpy()
    np.testing.assert_array_equal(actual, x @ y)


def test_half_precision_is_summed_in_single() -> None:
    x, y = np.full((4, 4096), 1, np.float16), np.full((4096, 20), 1, np.float16)
    actual = jitorch.jit(multiply)(jitorch.tensor(x), jitorch.tensor(y)).numpy()
    np.testing.assert_array_equal(actual, np.full((4, 20), 4096, np.float16))


def test_the_larger_operand_is_not_copied() -> None:
    made = lowered((64, 400), (400, 1024), "avx512")
    kernels = [s.kernel for s in made.body if isinstance(s, Launch)]
    assert [kernel.name for kernel in kernels] == ["matmul_batched_1_panels_pack", "matmul_batched_1"]
    assert {p.name for p in kernels[0].params} == {"in0", "matmul_batched_1_panels"}


@pytest.mark.parametrize("shape", [(64, 64, 64), (1, 512, 512), (96, 40, 50)])
def test_one_parallel_loop_of_many_tasks(shape: tuple[int, int, int]) -> None:
    m, inner, n = shape
    kernel = lowered((m, inner), (inner, n), "avx512").kernels[-1]
    (loop,) = kernel.body
    assert isinstance(loop, k.For)
    assert loop.kind == "parallel"


@pytest.mark.parametrize("inner", [512, 521, 1024])
def test_products_of_lines_that_collide(inner: int) -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-3, 4, (n, inner)).astype(np.float32) for n in (37, 130))
    product = jitorch.jit(lambda a, b: a @ b.mT)(jitorch.tensor(x), jitorch.tensor(w))
    np.testing.assert_array_equal(product.numpy(), x @ w.T)


def task_blocks(kernel: k.Kernel) -> list[str]:
    """What a task has, the part that changes from each to the next first."""
    (loop,) = kernel.body
    assert isinstance(loop, k.For)
    return [s.var.name for s in loop.body if isinstance(s, k.Let) and s.var.name.endswith("_block")]


def test_a_thread_multiplies_the_panels_that_it_packed() -> None:
    square = lowered((1024, 1024), (1024, 1024), "avx512").kernels[-1]
    assert task_blocks(square) == ["row_block", "lane_block"]
    text = """graph @main(%x: f32[1024, 1024], %y: f32[1024, 1024]) {
      %0: f32[1024, 1024] = exp(%x)
      %1: f32[1024, 1024] = matmul_batched(%0, %y)
      return %0, %1
    }"""
    # Rows that threads have just computed stay with them instead.
    computed = program(parse(text), "product", TARGETS["avx512"]).kernels[-1]
    assert task_blocks(computed) == ["lane_block", "row_block"]


@pytest.mark.parametrize(("size", "asked"), [(64, False), (1024, True)])
def test_memory_of_large_results_is_asked_for_ahead(size: int, asked: bool) -> None:
    kernel = lowered((size, 64), (64, size), "avx512").kernels[-1]
    assert any(isinstance(part, k.Prefetch) and part.written for part in k.walk(kernel)) is asked


def joined(rows: int, parts: tuple[int, ...], lanes: int, other: tuple[int, ...] | None = None) -> str:
    """A product whose operands are joined of ``parts``, the second of ``other`` if that is given."""
    other = other or parts
    a, b = ([f"%{side}{i}" for i in range(len(sizes))] for side, sizes in (("a", parts), ("b", other)))
    xs = [f"{name}: f32[{rows}, {size}]" for name, size in zip(a, parts, strict=True)]
    ys = [f"{name}: f32[{size}, {lanes}]" for name, size in zip(b, other, strict=True)]
    return f"""graph @main({", ".join([*xs, *ys])}) {{
      %0: f32[{rows}, {sum(parts)}] = concatenate({", ".join(a)}, axis=1)
      %1: f32[{sum(other)}, {lanes}] = concatenate({", ".join(b)}, axis=0)
      %2: f32[{rows}, {lanes}] = matmul_batched(%0, %1)
      return %2
    }}"""


def joined_values(rows: int, parts: tuple[int, ...], lanes: int) -> list[np.ndarray]:
    return [*(values(rows, size) for size in parts), *(values(size, lanes) for size in parts)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("rows", "parts", "lanes"), [(8, (4, 7), 33), (1, (3, 2), 20), (13, (1, 5, 2), 9), (2, (0, 3), 5), (2, (0, 0), 5)]
)
def test_joined_operands_are_read_where_their_parts_lie(
    target: str, rows: int, parts: tuple[int, ...], lanes: int
) -> None:
    made = program(parse(joined(rows, parts, lanes)), "product", TARGETS[target])
    given = joined_values(rows, parts, lanes)
    x, y = np.concatenate(given[: len(parts)], 1), np.concatenate(given[len(parts) :], 0)
    (actual,) = execute(made, given, [x @ y])
    np.testing.assert_array_equal(actual, x @ y)
    assert not any(kernel.name.startswith("concatenate") for kernel in made.kernels)


@pytest.mark.parametrize("other", [(7, 4), (11,), (4, 3, 4)])
def test_operands_that_are_not_cut_alike_are_joined_first(other: tuple[int, ...]) -> None:
    given = [values(8, 4), values(8, 7), *(values(size, 33) for size in other)]
    assert_lowers(joined(8, (4, 7), 33, other), *given)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32"])
@pytest.mark.parametrize(("rows", "parts"), [(8, (5, 6)), (16, (100, 400))])
def test_joined_operands_as_native_code(rows: int, parts: tuple[int, int], dtype: str) -> None:
    shapes = ((rows, parts[0]), (rows, parts[1]), (parts[0], 20), (parts[1], 20))
    x, h, w, u = (RNG.integers(-1, 2, shape).astype(dtype) for shape in shapes)
    product = jitorch.jit(lambda x, h, w, u: jitorch.cat((x, h), 1) @ jitorch.cat((w, u), 0))
    np.testing.assert_array_equal(product(*map(jitorch.tensor, (x, h, w, u))).numpy(), x @ w + h @ u)


def test_a_recurrent_step_keeps_no_product_of_all_steps() -> None:
    """The input's product is added to the state's in registers: there is no memory for the steps' gates."""

    def layer(x: Any, h: Any, w: Any, u: Any) -> Any:
        for t in range(x.shape[0]):
            h = jitorch.tanh(x[t] @ w.t() + h @ u.t())
        return h

    rng = np.random.default_rng(3)
    x, h, w, u = (rng.normal(size=s).astype(np.float32) * 0.1 for s in ((50, 8, 24), (8, 40), (40, 24), (40, 40)))
    step = jitorch.jit(layer)
    actual = step(*map(jitorch.tensor, (x, h, w, u))).numpy()
    for row in x.astype(np.float64):
        h = np.tanh(row @ w.T + h @ u.T)
    np.testing.assert_allclose(actual, h, rtol=1e-5, atol=1e-6)
    kernels = step.explain(source=True)
    assert "matmul_batched_1_panels_pack1" in kernels
    assert "matmul_batched_2" not in kernels
