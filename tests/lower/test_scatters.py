"""Scatters: by rows, columns and parts of the indices; their order, their checks, any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import config
from jitorch.builder import graph_of
from jitorch.dims import symbol
from jitorch.dtypes import from_numpy, int64
from jitorch.errors import TensorIndexError
from jitorch.ir import kernel as k
from jitorch.ir.interpret import interpret
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.scatters import COLUMNS, PART, SMALLEST_PART
from jitorch.ops import OPS
from jitorch.passes.decompose import decompose
from tests.lower.graphs import assert_lowers, parse
from tests.samples import compile_graph

RNG = np.random.default_rng(0)
MANY = 4 * SMALLEST_PART + 3


def floats(*shape: int) -> np.ndarray:
    return RNG.integers(-4, 5, shape).astype(np.float32)


def kinds(kernel: k.Kernel) -> list[str]:
    return [s.kind for s in k.walk(kernel) if isinstance(s, k.For)]


def types(arrays: tuple[np.ndarray, ...], is_symbolic: bool) -> list[TensorType]:
    """Their types; equal sizes are one symbol."""
    sizes = {n: symbol(f"n{n}") if is_symbolic and n > 1 else n for x in arrays for n in x.shape}
    return [TensorType(from_numpy(x.dtype), tuple(sizes[n] for n in x.shape)) for x in arrays]


def check(call: Any, *arrays: np.ndarray, ways: tuple[bool, ...] = (False, True)) -> None:
    """``call`` compiled, for sizes that are known and, in the other way, symbols, gives what the interpreter does."""
    expected = interpret(graph_of(call, types(arrays, False)), arrays)[0]
    for is_symbolic in ways:
        made = compile_graph(graph_of(call, types(arrays, is_symbolic)))
        assert not made.reasons
        np.testing.assert_array_equal(made.run(list(arrays))[0], expected)


def put(axis: int, accumulate: bool) -> Any:
    return lambda x, i, y: OPS["put"](x, i, y, axis=axis, accumulate=accumulate)


@pytest.mark.parametrize("accumulate", [True, False])
def test_indices_are_checked_on_the_way(accumulate: bool) -> None:
    text = f"""graph @main(%x: f32[5], %i: i64[4], %y: f32[4]) {{
      %0: f32[5] = put(%x, %i, %y, axis=0, accumulate={accumulate})
      return %0
    }}"""
    lowered = assert_lowers(text, floats(5), np.array([1, -1, 1, 4]), floats(4))
    assert [kernel.name for kernel in lowered.kernels] == ["put_1"]
    assert lowered.status is not None


def test_a_base_that_is_computed() -> None:
    text = """graph @main(%i: i64[4], %y: f32[4]) {
      %0: f32[] = constant(value=2.0, dtype=f32)
      %1: f32[5] = broadcast_to(%0, shape=(5,))
      %2: f32[5] = put(%1, %i, %y, axis=0, accumulate=True)
      return %2
    }"""
    lowered = assert_lowers(text, np.array([1, -1, 1, 4]), floats(4))
    assert [kernel.name for kernel in lowered.kernels] == ["put_1_fill", "put_1"]
    assert lowered.status is not None


def test_what_changes_an_input_is_checked_before() -> None:
    text = """graph @main(%x: f32[5], %i: i64[4], %y: f32[4]) {
      %0: f32[5] = put(%x, %i, %y, axis=0, accumulate=True)
      return %0
    }"""
    graph = parse(text)
    graph.writes = [(0, 0)]
    assert [kernel.name for kernel in program(graph).kernels] == ["put_index_1", "put_1"]
    x, y = jitorch.zeros(10), jitorch.ones(MANY)
    index = jitorch.zeros(MANY, dtype=jitorch.int64)
    index[-1] = 10
    with pytest.raises(TensorIndexError):
        jitorch.jit(lambda i, y: x.index_add_(0, i, y))(index, y)
    assert x.tolist() == [0.0] * 10


@pytest.mark.parametrize("axis", [0, 1])
def test_rows_and_columns_belong_to_one_task(axis: int) -> None:
    text = f"""graph @main(%x: f32[3, {COLUMNS + 6}], %i: i64[3, {COLUMNS + 6}], %y: f32[3, {COLUMNS + 6}]) {{
      %0: f32[3, {COLUMNS + 6}] = scatter_axis(%x, %i, %y, axis={axis}, accumulate=True)
      return %0
    }}"""
    shape = 3, COLUMNS + 6
    lowered = assert_lowers(text, floats(*shape), RNG.integers(0, shape[axis], shape), floats(*shape))
    kernel = next(kernel for kernel in lowered.kernels if kernel.name == "scatter_axis_1")
    assert kinds(kernel)[0] == "parallel"


@pytest.mark.parametrize("accumulate", [True, False])
def test_slices(accumulate: bool) -> None:
    index = RNG.integers(-6, 6, (40,))
    check(put(0, accumulate), floats(6, 7), index, floats(40, 7))
    check(put(0, accumulate), floats(6, 130), index, floats(40, 130))
    check(put(1, accumulate), floats(2, 6, 5, 30), index, floats(2, 40, 5, 30))
    check(put(1, accumulate), floats(2, 6), index.reshape(5, 8), floats(2, 5, 8))
    check(put(0, accumulate), floats(6), np.array(3), floats())


def test_the_index_of_a_slice_is_looked_at_once() -> None:
    arrays = floats(6, 100), RNG.integers(0, 6, 40), floats(40, 100)
    (kernel,) = program(graph_of(put(0, True), types(arrays, False))).kernels
    lanes = [s for s in k.walk(kernel) if isinstance(s, k.For)][-1]
    assert not any(isinstance(s, k.If) for s in lanes.body)
    assert {load.buffer.name for load in k.loads(lanes.body)} == {"in2", "out0"}


@pytest.mark.parametrize("axis", [0, 1])
def test_along_an_axis_of_more_than_the_index_has(axis: int) -> None:
    shape = (40, 90)
    larger = tuple(d if a == axis else d + 3 for a, d in enumerate(shape))
    for accumulate in (True, False):

        def call(x: Any, i: Any, y: Any, accumulate: bool = accumulate) -> Any:
            return OPS["scatter_axis"](x, i, y, axis=axis, accumulate=accumulate)

        check(call, floats(*larger), RNG.integers(0, shape[axis], shape), floats(*shape), ways=(False,))


def test_a_base_that_is_small_takes_parts_of_the_indices() -> None:
    lowered = program(graph_of(put(0, True), types((floats(10), RNG.integers(0, 10, MANY), floats(MANY)), False)))
    assert [kernel.name for kernel in lowered.kernels] == ["put_1_parts", "put_1"]
    assert kinds(lowered.kernels[0])[0] == "parallel"


def test_a_base_that_is_large_takes_them_in_order() -> None:
    size = MANY // PART + 1
    lowered = program(graph_of(put(0, True), types((floats(size), RNG.integers(0, 10, MANY), floats(MANY)), False)))
    assert [kernel.name for kernel in lowered.kernels] == ["put_1"]


@pytest.mark.parametrize("size", [1, 10, MANY // PART - 1, MANY // PART + 1, MANY])
@pytest.mark.parametrize("count", [0, 1, SMALLEST_PART - 1, SMALLEST_PART, 2 * SMALLEST_PART + 1, MANY])
def test_parts_of_all_sizes(size: int, count: int) -> None:
    index, x, y = RNG.integers(-size, size, count), floats(size), floats(count)
    check(put(0, True), x, index, y)


@pytest.mark.parametrize("how", ["amax", "amin", "prod"])
def test_parts_of_other_reductions(how: str) -> None:
    index, y = RNG.integers(0, 10, MANY), np.sign(floats(MANY)) if how == "prod" else floats(MANY)
    y[5] = np.nan
    check(lambda x, i, y: OPS["scatter_extreme"](x, i, y, axis=0, how=how), floats(10), index, y)


def test_sums_have_the_same_bits_on_any_number_of_threads() -> None:
    x, index, y = (RNG.normal(size=100).astype(np.float32), RNG.integers(0, 100, 100_000), RNG.normal(size=100_000))
    arrays = x, index, y.astype(np.float32)
    found = []
    for threads in (1, 2):
        with config.override(num_threads=threads):
            found.append(compile_graph(graph_of(put(0, True), types(arrays, False))).run(list(arrays))[0])
    np.testing.assert_array_equal(found[0].view(np.int32), found[1].view(np.int32))


@pytest.mark.parametrize("count", [5, MANY])
@pytest.mark.parametrize("bad", [10, -11])
def test_an_index_out_of_range(count: int, bad: int) -> None:
    index = np.zeros(count, np.int64)
    index[-1] = bad
    made = compile_graph(graph_of(put(0, True), types((floats(10), index, floats(count)), False)))
    with pytest.raises(TensorIndexError):
        made.run([floats(10), index, floats(count)])


def test_counting_is_one_pass_over_the_indices() -> None:
    graph = graph_of(lambda i: OPS["counts"](i, size=100), [TensorType(int64, (MANY,))])
    decompose(graph)
    assert [kernel.name for kernel in program(graph).kernels] == ["put_1_fill", "put_1_parts", "put_1"]
