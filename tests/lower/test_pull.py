"""Pulling elements: statements, what is shared, what is checked."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir.graph import Graph
from jitorch.ir.types import TensorType
from jitorch.lower.index import Index
from jitorch.lower.nests import finish
from jitorch.lower.pull import STATUS, Operand, Puller, is_float, reduction_of
from tests.lower.graphs import assert_lowers, parse

X = k.Buffer("x", dtypes.float32)


def puller_of(graph: Graph) -> Puller:
    """A puller over a graph whose inputs are named as in its text."""
    names = ("x", "y", "z")
    buffers = {
        v: k.Buffer(n, v.type.dtype) for v, n in zip(graph.inputs, names) if isinstance(v.type, TensorType)
    }  # fmt: skip
    return Puller(buffers, {})


def lines(puller: Puller) -> list[str]:
    return [line.strip() for s in puller.block.statements for line in str(s).splitlines()]


def test_elementwise_ops_combine_loads() -> None:
    graph = parse("graph @main(%x: f32[4], %y: f32[4]) { %0: f32[4] = add(%x, %y) %1: f32[4] = exp(%0) return %1 }")
    puller = puller_of(graph)
    result = puller.pull(graph.outputs[0], Index.of((4,), [k.Var("i")]))
    assert lines(puller) == [
        "let t1: f32 = x[i]",
        "let t2: f32 = y[i]",
        "let t3: f32 = t1 + t2",
        "let t4: f32 = exp(t3)",
    ]
    assert result == k.Var("t4", dtypes.float32)


def test_one_element_is_computed_once_within_reach() -> None:
    graph = parse("graph @main(%x: f32[4]) { %0: f32[4] = exp(%x) %1: f32[4] = mul(%0, %0) return %1 }")
    puller = puller_of(graph)
    here, there = Index.of((4,), [k.Var("i")]), Index.of((4,), [k.Var("j")])
    first = puller.pull(graph.nodes[0].output, here)
    assert puller.pull(graph.nodes[0].output, here) is first
    assert puller.pull(graph.nodes[0].output, there) != first
    _, inner = puller.nested(lambda: puller.pull(graph.nodes[0].output, here))
    assert inner is first
    hidden, inside = puller.nested(lambda: puller.pull(graph.outputs[0], there))
    assert len(hidden) == 1
    assert puller.pull(graph.outputs[0], there) != inside


def test_views_change_the_index_only() -> None:
    graph = parse("graph @main(%x: f32[4, 8]) { %0: f32[8, 4] = transpose_axes(%x, perm=(1, 0)) return %0 }")
    puller = puller_of(graph)
    i, j = k.Var("i"), k.Var("j")
    assert puller.load(graph.outputs[0], Index.of((8, 4), [i, j])) == k.Load(X, j * 8 + i)
    assert puller.block.statements == []


def test_reductions_open_loops_over_runs_of_axes() -> None:
    graph = parse("graph @main(%x: f32[2, 3, 4, 5]) { %0: f32[4] = reduce_sum(%x, axes=(0, 1, 3)) return %0 }")
    puller = puller_of(graph)
    puller.pull(graph.outputs[0], Index.of((4,), [k.Var("i")]))
    text = "\n".join(lines(puller))
    assert "for r2 in serial(6)" in text
    assert "for r3 in serial(5)" in text
    assert "x[r2 * 20 + i * 5 + r3]" in text


def test_numbers_are_names_of_scalars() -> None:
    graph = parse("graph @main(%x: float) { %0: float = exp(%x) return %0 }")
    number = k.Var("number0", dtypes.float64)
    puller = Puller({}, {graph.inputs[0]: number})
    assert puller.pull(graph.inputs[0], Index((), ())) is number


def test_indices_from_data_are_checked() -> None:
    graph = parse("graph @main(%x: f32[4], %i: i32[2]) { %0: f32[2] = take(%x, %i, axis=0) return %0 }")
    puller = puller_of(graph)
    puller.pull(graph.outputs[0], Index.of((2,), [k.Var("i")]))
    kernel = finish("take", puller)
    assert kernel.params == (k.Buffer("y", dtypes.int32), X, STATUS, k.Var("i"))
    assert '"status"[0] = i32(1)' in str(kernel)


def test_operands_tell_pull_rules_what_they_are() -> None:
    graph = parse("graph @main(%x: f32[4, 8], %n: int) { return %x }")
    puller = puller_of(graph)
    tensor, number = Operand(puller, graph.inputs[0]), Operand(puller, graph.inputs[1])
    assert tensor.shape == (4, 8)
    assert tensor.sizes == (k.const(4), k.const(8))
    assert tensor.dtype is dtypes.float32
    assert (tensor.is_number, number.is_number) == (False, True)
    assert (is_float(graph.inputs[0]), is_float(graph.inputs[1])) == (True, False)


def test_names_are_fresh_and_literals_stay() -> None:
    puller = Puller({}, {})
    assert puller.let(k.const(3)) == k.const(3)
    assert puller.let(k.Var("i")) == k.Var("i")
    assert puller.let(k.Var("i") + 1) == k.Var("t1")
    assert puller.fresh("t") == "t2"


def test_a_block_that_fails_is_left() -> None:
    puller = Puller({}, {})
    outer = puller.block

    def fails() -> None:
        raise ValueError("a rule failed")

    with pytest.raises(ValueError, match="a rule failed"):
        puller.nested(fails)
    assert puller.block is outer


def test_what_is_not_stored_cannot_be_loaded() -> None:
    graph = parse("graph @main(%x: f32[4, 4]) { %0: f32[4, 4] = matmul_batched(%x, %x) return %0 }")
    with pytest.raises(CompilerBug, match="must be stored before it is read"):
        puller_of(graph).pull(graph.outputs[0], Index.of((4, 4), [0, 0]))
    with pytest.raises(CompilerBug, match="has no buffer"):
        Puller({}, {}).pull(graph.inputs[0], Index.of((4, 4), [0, 0]))
    with pytest.raises(CompilerBug, match="without a buffer"):
        Puller({}, {}).load(graph.inputs[0], Index.of((4, 4), [0, 0]))


def test_a_reduction_is_a_monoid() -> None:
    graph = parse("graph @main(%x: f32[4]) { %0: f32[] = reduce_max(%x, axes=(0,)) return %0 }")
    (start,) = reduction_of(graph.nodes[0]).init
    assert start == k.const(float("-inf"), dtypes.float32)


def test_a_short_reduction_needs_no_loop() -> None:
    text = """graph @main(%x: f32[20, 12]) {
      %0: f32[20, 5, 3] = windows(%x, sizes=(3,), strides=(2,), dilations=(1,))
      %1: f32[20, 5] = reduce_sum(%0, axes=(2,))
      %2: i64[20, 5] = reduce_argmax(%0, axes=(2,))
      return %1, %2
    }"""
    x = np.random.default_rng(0).integers(0, 4, (20, 12)).astype(np.float32)
    (kernel,) = assert_lowers(text, x).kernels
    assert not any(isinstance(s, k.Local) for s in k.walk(kernel.body))
