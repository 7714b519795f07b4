"""Graph to program: what it computes, by the strict interpreter, and how it is put together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from jitorch import config, dtypes
from jitorch.compiler import compile_graph, lift_literals
from jitorch.dims import symbol
from jitorch.errors import BackendError, CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.kernel_interpret import program_interpret
from jitorch.ir.kernel_text import parse_program
from jitorch.ir.types import INT, TensorType
from jitorch.lower import can_lower, program
from jitorch.lower.pull import OUT_OF_RANGE, STATUS
from jitorch.ops import OPS
from jitorch.passes.decompose import decompose, expand
from tests.lower.graphs import assert_lowers, execute, parse
from tests.random_calls import calls, run
from tests.samples import assert_close, graph_of_samples, trace_types, with_samples

RANDOM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", with_samples())
def test_every_sample_lowers_to_a_sound_program(name: str) -> None:
    graph, arrays = graph_of_samples(name)
    expected = interpret(graph.copy(), arrays, expand)
    literals = lift_literals(graph)
    decompose(graph)
    literals += lift_literals(graph)
    if not all(can_lower(node.op.name, node.op.lowering) for node in graph.nodes):
        with pytest.raises(BackendError, match=r"\(extern\) has no kernel"):
            program(graph)
        return
    lowered = program(graph)
    assert_close(execute(lowered, [*arrays, *literals], expected), expected)


def strictly(graph: Graph, arrays: list[np.ndarray], sizes: dict[str, int]) -> tuple[list[Any], list[Any]]:
    """The results of a graph by its program and by the NumPy interpreter."""
    with config.override(verify=True, cache=False):
        reference = run(compile_graph(graph, "reference").run, graph, arrays)
    work = graph.copy()
    decompose(work)
    lowered = program(work)
    written = {o for _, o in graph.writes}
    like = [x for o, x in enumerate(reference) if o not in written]
    scalars = [sizes[v.name] for v in lowered.scalars]
    return run(lambda given: execute(lowered, given, like, scalars), graph, arrays), reference


@RANDOM
@given(calls(least=1))
def test_random_graphs(case: tuple[Graph, list[np.ndarray], dict[str, int]]) -> None:
    for actual, expected in zip(*strictly(*case), strict=True):
        np.testing.assert_array_equal(actual, expected)


@RANDOM
@given(calls(least=1, symbolic=True))
def test_random_graphs_of_symbolic_sizes(case: tuple[Graph, list[np.ndarray], dict[str, int]]) -> None:
    for actual, expected in zip(*strictly(*case), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_what_lies_beside_a_write_does_not_read_what_is_written() -> None:
    text = """graph @main(%x: i64[2]) {
      %0: i64[2] = add(%x, %x)
      %1: i64[1] = slice_axes(%0, starts=(1,), stops=(2,), steps=(1,))
      %2: i64[1] = neg(%1)
      %3: i64[2] = slice_write(%0, %2, starts=(1,), stops=(2,), steps=(1,))
      %4: i64[1] = slice_axes(%3, starts=(0,), stops=(1,), steps=(1,))
      return %4
    }"""
    actual, expected = strictly(parse(text), [np.array([7, 3])], {})
    np.testing.assert_array_equal(actual, expected)


def test_the_text_of_a_program_is_the_program() -> None:
    lowered = program(
        parse("graph @main(%x: f32[4, 3], %y: f32[3, 5]) { %0: f32[4, 5] = matmul_batched(%x, %y) return %0 }")
    )
    assert parse_program(str(lowered)) == lowered


def test_parameters_are_inputs_outputs_sizes_numbers() -> None:
    n = symbol("N")

    def function(x: Any, i: Any, y: Any) -> Any:
        return x + i, y

    graph = trace_types(function, [TensorType(dtypes.int64, (n,)), INT, TensorType(dtypes.float32, (n, 2))])
    lowered = program(graph, "named")
    assert lowered.name == "named"
    assert [b.name for b in lowered.inputs] == ["in0", "in2"]
    assert [b.name for b in lowered.outputs] == ["out0", "out1"]
    assert [v.typed for v in lowered.scalars] == ["N: i64", "number1: i64"]
    assert {name: str(size) for name, size in lowered.sizes.items()} == {
        "in0": "N", "in2": "N * 2", "out0": "N", "out1": "N * 2",
    }  # fmt: skip
    x, y = np.arange(3), np.ones((3, 2), np.float32)
    actual = execute(lowered, [x, y], [x, y], [3, 10])
    assert actual[0].tolist() == [10, 11, 12]
    np.testing.assert_array_equal(actual[1], y)


def test_an_output_that_is_an_input_or_comes_twice_is_copied() -> None:
    x = np.arange(4, dtype=np.float32)
    lowered = assert_lowers("graph @main(%x: f32[4]) { %0: f32[4] = neg(%x) return %x, %0, %0 }", x)
    assert sum(isinstance(s, host.Copy) for s in lowered.body) == 2


def test_numbers_are_outputs_too() -> None:
    graph = parse("graph @main(%x: int) { %0: int = neg(%x) return %x, %0 }")
    lowered = program(graph)
    actual = execute(lowered, [], [np.int64(0), np.int64(0)], [5])
    assert [a.item() for a in actual] == [5, -5]


def test_a_bad_index_sets_the_status() -> None:
    graph = parse("graph @main(%x: f32[4], %i: i64[2]) { %0: f32[2] = take(%x, %i, axis=0) return %0 }")
    lowered = program(graph)
    assert lowered.status == STATUS
    x, out = np.arange(4, dtype=np.float32), np.zeros(2, np.float32)
    assert program_interpret(lowered, [x, np.array([-4, 3])], [out]) == 0
    assert out.tolist() == [0, 3]
    assert program_interpret(lowered, [x, np.array([0, 4])], [out]) == OUT_OF_RANGE
    assert program_interpret(lowered, [x, np.array([-5, 0])], [out]) == OUT_OF_RANGE


def test_kernels_are_named_by_what_they_compute() -> None:
    text = """graph @main(%x: f32[4, 8]) {
      %0: f32[4, 8] = exp(%x)
      %1: f32[8] = reduce_sum(%0, axes=(0,))
      %2: f32[8] = exp(%1)
      %3: f32[4, 4] = slice_axes(%0, starts=(0, 0), stops=(4, 4), steps=(1, 1))
      return %0, %2, %3
    }"""
    lowered = assert_lowers(text, np.zeros((4, 8), np.float32))
    assert [kernel.name for kernel in lowered.kernels] == ["fused_1", "exp_1", "slice_axes_1"]
    assert all(k.verify(kernel) is kernel for kernel in lowered.kernels)


def test_what_can_be_lowered() -> None:
    assert can_lower("add", "scalar")
    assert can_lower("matmul_batched", "recipe")
    assert not can_lower("attention", "recipe")
    assert not can_lower("sort", "extern")
    assert not can_lower("softmax", None)


def test_what_has_no_kernel_is_refused_by_name() -> None:
    literal = parse("graph @main(%x: f32[2]) { %0: f32[2] = literal(value=array<f32[2]: 1.0, 2.0>) return %0 }")
    with pytest.raises(BackendError, match="literal"):
        program(literal)
    composite = trace_types(lambda x: OPS["neg"](OPS["square"](x)), [TensorType(dtypes.float32, (2,))])
    with pytest.raises(CompilerBug, match="square must be stored"):
        program(composite)


def test_steps_that_only_their_kernel_reads_have_no_memory() -> None:
    text = """graph @main(%x: f32[6], %y: f32[3, 6]) {
      %0: f32[6] = sin(%x)
      %1: f32[6] = cos(%0)
      %2: f32[6] = exp(%0)
      %3: f32[3, 6] = broadcast_to(%1, shape=(3, 6))
      %4: f32[3, 6] = mul(%y, %3)
      %5: f32[3, 6] = broadcast_to(%2, shape=(3, 6))
      %6: f32[3, 6] = add(%4, %5)
      return %6
    }"""
    lowered = assert_lowers(text, np.linspace(-1, 1, 6, dtype=np.float32), np.ones((3, 6), np.float32))
    first, _ = lowered.kernels
    assert sum(isinstance(s, k.Store) for s in k.walk(first)) == 2
