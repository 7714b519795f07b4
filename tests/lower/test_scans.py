"""Scans: which kernels go along which lines, and what they give: ties, NaN, odd sizes, any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jitorch import config
from jitorch.builder import graph_of
from jitorch.dims import symbol
from jitorch.dtypes import float32, from_numpy
from jitorch.ir import kernel as k
from jitorch.ir.interpret import interpret
from jitorch.ir.program import Program
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.scans import CHUNK, FEW_LINES, LONG
from jitorch.ops import OPS
from jitorch.passes.decompose import decompose
from tests.lower.graphs import assert_lowers
from tests.samples import compile_graph

SCANS = ("scan_sum", "scan_prod", "scan_logaddexp", "scan_max", "scan_min", "scan_argmax", "scan_argmin")
SHAPES = [((5,), 0), ((3, 7), 1), ((37, 5), 1), ((33, 40), 1), ((9, 70), 0), ((2, 5, 19), 1), ((40, 0), 1), ((0, 4), 1)]
LONG_SHAPES = [((LONG,), 0), ((3 * CHUNK + 5,), 0), ((17 * CHUNK,), 0), ((2, 40_001), 1), ((40_001, 3), 0)]


def numbers(shape: tuple[int, ...], dtype: str, has_nan: bool = False) -> np.ndarray:
    """Halves, of which many are equal."""
    rng = np.random.default_rng(len(shape))
    x = rng.integers(-6, 7, shape).astype(dtype)
    if x.dtype.kind == "f":
        x /= 2
        if has_nan and x.size:
            x.flat[x.size // 2] = np.nan
            x.flat[x.size // 3] = np.inf
            x.flat[0] = -np.inf
    return x


def check(op: str, x: np.ndarray, axis: int) -> None:
    if op == "scan_prod":
        x = np.sign(x)  # what does not grow
    graph = graph_of(lambda t: OPS[op](t, axis=axis), [TensorType(from_numpy(x.dtype), x.shape)])
    expected = interpret(graph.copy(), [x])[0]
    for types in (x.shape, tuple(symbol(f"n{a}") for a in range(x.ndim))):
        graph = graph_of(lambda t: OPS[op](t, axis=axis), [TensorType(from_numpy(x.dtype), types)])
        made = compile_graph(graph)
        assert not made.reasons
        found = made.run([x])[0]
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=2e-5 if x.dtype == np.float32 else 1e-12, atol=1e-3)


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("op", SCANS)
def test_lines(op: str, shape: tuple[int, ...], axis: int) -> None:
    for dtype in ("float32", "float64") if op == "scan_logaddexp" else ("float32", "float64", "int64", "int32", "int8"):
        check(op, numbers(shape, dtype), axis)
    check(op, numbers(shape, "float32", has_nan=True), axis)


@pytest.mark.parametrize(("shape", "axis"), LONG_SHAPES)
@pytest.mark.parametrize("op", SCANS)
def test_long_lines(op: str, shape: tuple[int, ...], axis: int) -> None:
    check(op, numbers(shape, "float32"), axis)
    check(op, numbers(shape, "float64", has_nan=True), axis)


@pytest.mark.parametrize("shape", [(37, 5), (33, 40), (9, 70)])
@pytest.mark.parametrize("axis", [0, 1])
def test_kernels_mean_the_same_to_the_interpreter(shape: tuple[int, int], axis: int) -> None:
    dims = ", ".join(map(str, shape))
    for op in ("scan_sum", "scan_max"):
        text = f"graph @main(%x: f32[{dims}]) {{ %0: f32[{dims}] = {op}(%x, axis={axis}) return %0 }}"
        assert_lowers(text, numbers(shape, "float32"))


def lowered(call: Any, *shape: int) -> Program:
    return program(graph_of(call, [TensorType(float32, shape)]))


def names(made: Program) -> list[str]:
    return [kernel.name for kernel in made.kernels]


def test_a_long_line_is_cut_into_chunks() -> None:
    def total(x: Any) -> Any:
        return OPS["scan_sum"](x, axis=x.ndim - 1)

    chunked = ["scan_sum_1_folds", "scan_sum_1_carries", "scan_sum_1", "scan_sum_1_rest"]
    assert names(lowered(total, LONG)) == chunked
    assert names(lowered(total, FEW_LINES - 1, LONG)) == chunked
    assert names(lowered(total, FEW_LINES, LONG)) == ["scan_sum_1"]
    assert names(lowered(total, LONG - 1)) == ["scan_sum_1"]


def test_lines_along_memory_go_together_in_squares() -> None:
    (kernel,) = lowered(lambda x: OPS["scan_sum"](x, axis=1), 100, 100).kernels
    squares = [b for b in kernel.scratch if b.name.startswith("square")]
    assert len(squares) == 2 and len({b.size for b in squares}) == 1
    assert any(isinstance(s, k.For) and s.kind == "vector" for s in k.walk(kernel))


def test_lines_across_memory_go_abreast() -> None:
    (kernel,) = lowered(lambda x: OPS["scan_sum"](x, axis=0), 100, 100).kernels
    assert [b.name.endswith("_lanes") for b in kernel.scratch] == [True]


def test_an_extremum_and_its_place_are_one_state_in_one_kernel() -> None:
    graph = graph_of(lambda x: OPS["max_so_far"](x, axis=1), [TensorType(float32, (3, 4))])
    decompose(graph)
    made = program(graph)
    (kernel,) = made.kernels
    assert len(made.outputs) == 2
    assert len([s for s in k.walk(kernel) if isinstance(s, k.Local)]) == 2


def test_scans_of_other_lines_have_kernels_of_their_own() -> None:
    def both(x: Any) -> Any:
        return OPS["scan_max"](x, axis=0), OPS["scan_max"](x, axis=1)

    assert len(lowered(both, 3, 4).kernels) == 2


def test_scans_along_the_same_lines_with_other_states() -> None:
    x = numbers((5, 40), "float32")
    graph = graph_of(lambda t: (OPS["scan_sum"](t, axis=1), OPS["scan_min"](t, axis=1)), [TensorType(float32, x.shape)])
    assert len(program(graph).kernels) == 1
    for found, expected in zip(compile_graph(graph).run([x]), interpret(graph, [x]), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("shape", "axis"), [((300, 301), 1), ((301, 300), 0), ((200_003,), 0)])
@pytest.mark.parametrize("op", ["scan_sum", "scan_logaddexp"])
def test_bits_are_the_same_on_any_number_of_threads(op: str, shape: tuple[int, ...], axis: int) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    graph = graph_of(lambda t: OPS[op](t, axis=axis), [TensorType(float32, shape)])
    found = []
    for threads in (1, 2):
        with config.override(num_threads=threads):
            found.append(compile_graph(graph).run([x])[0])
    np.testing.assert_array_equal(found[0].view(np.int32), found[1].view(np.int32))


def test_what_is_computed_on_the_way() -> None:
    x = np.random.default_rng(0).normal(size=(40_000,))
    graph = graph_of(lambda t: OPS["scan_sum"]((t * 2).sin(), axis=0), [TensorType(from_numpy(x.dtype), x.shape)])
    np.testing.assert_allclose(compile_graph(graph).run([x])[0], np.cumsum(np.sin(x * 2)), rtol=1e-9, atol=1e-9)
