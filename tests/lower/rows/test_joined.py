"""Groups that go row by row: what joins, in how many kernels; random graphs against the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jitorch
from jitorch.ir.program import Program
from jitorch.lower import program
from jitorch.lower.fuse import plan
from jitorch.lower.groups import groups
from jitorch.lower.rows.joined import row_groups
from jitorch.nn import functional as F
from tests.lower.graphs import assert_lowers, parse

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def kernels(function: Callable[..., Any], *arguments: Any) -> int:
    """How many kernels a jitted function launches."""
    compiled = jitorch.jit(function)
    compiled(*arguments)
    return compiled.sources()["program"].count("  launch @")


def names(text: str) -> list[list[str]]:
    """The ops of each group, in order of computation."""
    decided = plan(parse(text))
    found = row_groups(groups(decided), decided)
    return [[v.node.op.name for v in group.values if v.node is not None] for group in found]


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax], ids=["softmax", "log_softmax"])
def test_softmax_is_one_kernel_and_reads_its_operand_once_from_memory(function: Callable[..., Any]) -> None:
    x = jitorch.randn(16, 40)
    assert kernels(lambda x: function(x, dim=-1), x) == 1
    assert kernels(lambda x: function(x, dim=2), jitorch.randn(3, 5, 7)) == 1


def test_layer_norm_is_one_kernel() -> None:
    assert kernels(lambda x, w, b: F.layer_norm(x, (40,), w, b), *map(jitorch.randn, ((16, 40), (40,), (40,)))) == 1


def test_layer_norm_and_its_gradients_are_one_kernel_and_the_sum_of_its_chunks() -> None:
    def step(x: Any, w: Any, b: Any, g: Any) -> Any:
        x, w, b = (v.detach().requires_grad_(True) for v in (x, w, b))
        y = F.layer_norm(x, (1024,), w, b)
        y.backward(g)
        return y, x.grad, w.grad, b.grad

    few, many = jitorch.randn(16, 1024), jitorch.randn(200, 1024)
    w, b = jitorch.randn(1024), jitorch.randn(1024)
    assert kernels(step, few, w, b, few) == 1
    assert kernels(step, many, w, b, many) == 2
    for actual, expected in zip(jitorch.jit(step)(many, w, b, many), step(many, w, b, many)):
        # Sums of 200 or 1024 products of order 1, in another order.
        np.testing.assert_allclose(actual.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-4)


def test_cross_entropy_with_its_gradient_is_one_kernel_over_the_scores() -> None:
    def step(x: Any, target: Any) -> Any:
        x = x.detach().requires_grad_(True)
        loss = F.cross_entropy(x, target)
        loss.backward()
        return loss, x.grad

    x, target = jitorch.randn(16, 40), jitorch.randint(0, 40, (16,))
    compiled = jitorch.jit(step)
    compiled(x, target)
    text = compiled.sources()["kernels"]
    # Counting the targets, the rows, and the mean.
    assert text.count("kernel @") == 3
    assert sum("in0" in part for part in text.split("kernel @")) == 1


def test_a_domain_of_its_own_stays_apart() -> None:
    text = """graph @main(%x: f32[8, 16]) {
      %0: f32[8] = reduce_sum(%x, axes=(1,))
      %1: f32[8, 1] = reshape_to(%0, shape=(8, 1))
      %2: f32[8, 16] = broadcast_to(%1, shape=(8, 16))
      %3: f32[8, 16] = div(%x, %2)
      %4: f32[16, 8] = transpose_axes(%3, perm=(1, 0))
      %5: f32[16, 8] = exp(%4)
      return %3, %5
    }"""
    assert names(text) == [["reduce_sum", "div"], ["exp"]]
    assert_lowers(text, floats(8, 16) + 4)


def test_reading_another_row_keeps_kernels_apart() -> None:
    text = """graph @main(%x: f32[8, 16]) {
      %0: f32[8, 16] = exp(%x)
      %1: f32[8] = reduce_sum(%0, axes=(1,))
      %2: f32[8] = flip_axes(%1, axes=(0,))
      return %0, %1, %2
    }"""
    assert names(text) == [["exp", "reduce_sum"], ["flip_axes"]]
    assert_lowers(text, floats(8, 16))


def test_reading_elsewhere_in_the_row_waits_for_the_next_loop() -> None:
    text = """graph @main(%x: f32[8, 16]) {
      %0: f32[8, 16] = exp(%x)
      %1: f32[8] = reduce_sum(%0, axes=(1,))
      %2: f32[8, 16] = flip_axes(%0, axes=(1,))
      return %0, %1, %2
    }"""
    assert names(text) == [["exp", "reduce_sum", "flip_axes"]]
    assert_lowers(text, floats(8, 16))


def test_the_statistics_of_channels_are_rows() -> None:
    text = """graph @main(%x: f32[3, 5, 4, 4]) {
      %0: f32[5] = reduce_sum(%x, axes=(0, 2, 3))
      %1: f32[1, 5, 1, 1] = reshape_to(%0, shape=(1, 5, 1, 1))
      %2: f32[3, 5, 4, 4] = broadcast_to(%1, shape=(3, 5, 4, 4))
      %3: f32[3, 5, 4, 4] = sub(%x, %2)
      return %3
    }"""
    assert len(names(text)) == 1
    assert_lowers(text, floats(3, 5, 4, 4))


def test_what_stands_between_two_groups_keeps_them_apart() -> None:
    text = """graph @main(%x: f32[8, 8], %w: f32[8, 8]) {
      %0: f32[8] = reduce_sum(%x, axes=(1,))
      %1: f32[8, 1] = reshape_to(%0, shape=(8, 1))
      %2: f32[8, 8] = broadcast_to(%1, shape=(8, 8))
      %3: f32[8, 8] = sub(%x, %2)
      %4: f32[8, 8] = matmul_batched(%3, %w)
      %5: f32[8, 8] = mul(%4, %3)
      %6: f32[8] = reduce_max(%5, axes=(1,))
      return %6
    }"""
    assert_lowers(text, floats(8, 8), floats(8, 8))
    assert [len(group) for group in names(text)] == [2, 1, 1]


def test_a_gpu_has_kernels_of_its_own() -> None:
    text = "graph @main(%x: f32[4, 8]) { %0: f32[8] = reduce_sum(%x, axes=(0,)) return %0 }"
    assert "part" not in str(program(parse(text), target="gpu"))


@st.composite
def row_graphs(draw: st.DrawFn) -> tuple[str, np.ndarray]:
    """Random maps, reductions and broadcasts over integers of one shape: results are exact in any order."""
    rows, columns = draw(st.integers(1, 40)), draw(st.integers(2, 40))
    shapes = {"vector": f"i64[{rows}, {columns}]", "scalar": f"i64[{rows}]", "column": f"i64[{columns}]"}
    values: dict[str, list[str]] = {"vector": ["%x"], "scalar": [], "column": []}
    lines: list[str] = []

    def new(kind: str, text: str, shape: str | None = None) -> str:
        name = f"%{len(lines)}"
        lines.append(f"{name}: {shape or shapes[kind]} = {text}")
        if shape is None:
            values[kind].append(name)
        return name

    def widen(name: str, kind: str) -> None:
        if kind == "scalar":
            name = new(kind, f"reshape_to({name}, shape=({rows}, 1))", f"i64[{rows}, 1]")
        new("vector", f"broadcast_to({name}, shape=({rows}, {columns}))")

    for _ in range(draw(st.integers(2, 12))):
        kind = draw(st.sampled_from([kind for kind in values if values[kind]]))
        name = draw(st.sampled_from(values[kind]))
        action = draw(st.sampled_from(["map", "map", "fold", "add", "flip", "widen"]))
        if action == "map":
            other = draw(st.sampled_from(values[kind]))
            new(kind, f"{draw(st.sampled_from(['add', 'sub', 'mul', 'maximum']))}({name}, {other})")
        elif kind != "vector":
            widen(name, kind)
        elif action == "fold":
            op = draw(st.sampled_from(["reduce_sum", "reduce_max", "reduce_argmax", "reduce_argmin"]))
            new("scalar", f"{op}({name}, axes=(1,))")
        elif action == "add":
            new("column", f"{draw(st.sampled_from(['reduce_sum', 'reduce_min']))}({name}, axes=(0,))")
        elif action == "flip":
            new("vector", f"flip_axes({name}, axes=({draw(st.integers(0, 1))},))")
    last = [names[-1] for names in values.values() if names and names[-1] != "%x"]
    outputs = draw(
        st.lists(st.sampled_from([n for v in values.values() for n in v if n != "%x"] or ["%x"]), max_size=3)
    )
    results = dict.fromkeys([*last, *outputs]) or ["%x"]
    x = np.random.default_rng(draw(st.integers(0, 99))).integers(-9, 9, (rows, columns))
    body = "\n".join(lines)
    return f"graph @main(%x: {shapes['vector']}) {{\n{body}\nreturn {', '.join(results)}\n}}", x


@settings(max_examples=80)
@given(row_graphs())
def test_random_rows_are_what_the_graph_means(case: tuple[str, np.ndarray]) -> None:
    text, x = case
    lowered: Program = assert_lowers(text, x)
    assert lowered.kernels or "return %x" in text
