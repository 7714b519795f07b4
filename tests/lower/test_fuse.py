"""What is stored; whole graphs are in ``tests/passes/cases/fuse``."""

from __future__ import annotations

import pytest

from jitorch.ir.graph import Graph
from jitorch.lower.fuse import MOST_DEPTH, keeps_last_axis, plan
from tests.lower.graphs import parse


def stored(text: str) -> list[str]:
    """The ops whose results are stored, in order."""
    return [v.node.op.name for v in plan(parse(text)).stored if v.node is not None]


def test_inputs_have_memory_and_are_not_in_the_plan() -> None:
    graph = parse("graph @main(%x: f32[4], %s: float) { %0: f32[4] = exp(%x) return %0 }")
    decided = plan(graph)
    assert decided.is_stored(graph.inputs[0])
    assert not decided.is_stored(graph.inputs[1])
    assert list(decided.stored) == [graph.outputs[0]]


def test_a_chain_of_elementwise_ops_is_one_kernel() -> None:
    text = """graph @main(%x: f32[4]) {
      %0: f32[4] = exp(%x)
      %1: f32[4] = sin(%0)
      %2: f32[4] = add(%1, %0)
      return %2
    }"""
    assert stored(text) == ["add"]


def test_a_very_long_chain_is_cut() -> None:
    lines = ["%0: f32[4] = exp(%x)", *(f"%{i + 1}: f32[4] = sin(%{i})" for i in range(2 * MOST_DEPTH + 5))]
    last = 2 * MOST_DEPTH + 5
    assert stored(f"graph @main(%x: f32[4]) {{ {chr(10).join(lines)} return %{last} }}") == ["sin"] * 3


def test_what_is_dear_and_read_in_two_kernels_is_stored() -> None:
    text = """graph @main(%x: f32[4, 8]) {{
      %0: f32[4, 8] = {op}(%x)
      %1: f32[4] = reduce_sum(%0, axes=(1,))
      %2: f32[8, 4] = transpose_axes(%0, perm=(1, 0))
      return %1, %2
    }}"""
    assert stored(text.format(op="exp")) == ["exp", "reduce_sum", "transpose_axes"]
    assert stored(text.format(op="neg")) == ["reduce_sum", "transpose_axes"]


def test_a_reduction_over_outer_axes_is_stored() -> None:
    text = """graph @main(%x: f32[8, 16]) {{
      %0: f32[{kept}] = reduce_sum(%x, axes=({axis},))
      %1: f32[{kept}] = neg(%0)
      return %1
    }}"""
    assert stored(text.format(kept=16, axis=0)) == ["reduce_sum", "neg"]
    assert stored(text.format(kept=8, axis=1)) == ["neg"]


def test_a_scatter_is_stored() -> None:
    text = """graph @main(%x: f32[5], %i: i64[2], %y: f32[2]) {
      %0: f32[5] = put(%x, %i, %y, axis=0, accumulate=True)
      %1: f32[5] = neg(%0)
      return %1
    }"""
    assert stored(text) == ["put", "neg"]


def test_a_matrix_product_reads_views_of_memory_in_place() -> None:
    text = """graph @main(%x: f32[8, 4], %y: f32[8, 3]) {
      %0: f32[4, 8] = transpose_axes(%x, perm=(1, 0))
      %1: f32[4, 3] = matmul_batched(%0, %y)
      return %1
    }"""
    assert stored(text) == ["matmul_batched"]


def reduction(shape: str, kept: str, axes: str, op: str = "reduce_sum", dtype: str = "f32") -> Graph:
    return parse(f"graph @main(%x: f32[{shape}]) {{ %0: {dtype}[{kept}] = {op}(%x, axes={axes}) return %0 }}")


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (reduction("8, 16", "16", "(0,)"), True),
        (reduction("8, 16", "8", "(1,)"), False),
        (reduction("8, 16", "", "(0, 1)"), False),
        (reduction("8, 3", "3", "(0,)"), False),
        (reduction("8, 16", "16", "(0,)", "reduce_argmax", "i64"), False),
        (reduction("2, 8, 16", "8, 16", "(0,)", "reduce_max"), True),
    ],
    ids=["outer", "inner", "all", "short rows", "argmax", "maximum"],
)
def test_which_reductions_run_over_rows(graph: Graph, expected: bool) -> None:
    assert keeps_last_axis(graph.nodes[0]) is expected


HIDDEN = "%h: f32[6, 8] = exp(%x)"


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ("%v: f32[8, 6] = transpose_axes(%h, perm=(1, 0))", ["exp"]),
        ("%a: f32[2, 3, 8] = reshape_to(%h, shape=(2, 3, 8)) %v: f32[6, 8] = reshape_to(%a, shape=(6, 8))", ["exp"]),
        ("%a: f32[3, 8] = slice_axes(%h, starts=(0, 0), stops=(6, 8), steps=(2, 1)) "
         "%v: f32[8, 3] = transpose_axes(%a, perm=(1, 0))", ["exp"]),
        ("%a: f32[8, 6] = transpose_axes(%h, perm=(1, 0)) %v: f32[6, 8] = reshape_to(%a, shape=(6, 8))",
         ["transpose_axes"]),
    ],
    ids=["transposed", "reshaped", "a slice, transposed", "reshaped out of order"],
)  # fmt: skip
def test_a_recipe_reads_views_of_what_is_stored(views: str, expected: list[str]) -> None:
    graph = parse(f"graph @main(%x: f32[6, 8]) {{ {HIDDEN} {views} return %v }}")
    first, second = graph.outputs[0].type.shape  # type: ignore[union-attr]
    text = f"""graph @main(%x: f32[6, 8], %w: f32[{second}, 5]) {{
      {HIDDEN} {views}
      %y: f32[{first}, 5] = matmul_batched(%v, %w)
      return %y
    }}"""
    assert stored(text) == [*expected, "matmul_batched"]


def test_what_a_broadcast_shows_is_stored_in_its_place() -> None:
    text = """graph @main(%x: f32[8, 16], %w: f32[16, 16]) {
      %0: f32[8] = reduce_sum(%x, axes=(1,))
      %1: f32[8, 1] = reshape_to(%0, shape=(8, 1))
      %2: f32[8, 16] = broadcast_to(%1, shape=(8, 16))
      %3: f32[8, 16] = mul(%x, %2)
      %4: f32[8, 16] = matmul_batched(%3, %w)
      %5: f32[8, 16] = mul(%4, %2)
      return %5
    }"""
    assert stored(text) == ["reduce_sum", "mul", "matmul_batched", "mul"]


JOINED = """graph @main(%x: f32[4, {size}]) {{
  %0: f32[2, {size}] = slice_axes(%x, starts=(1, 0), stops=(3, {size}), steps=(1, 1))
  %1: f32[6, {size}] = concatenate(%0, %x, axis=0)
  %2: f32[6, 1] = slice_axes(%1, starts=(0, 0), stops=(6, 1), steps=(1, 1))
  %3: f32[6, 3] = broadcast_to(%2, shape=(6, 3))
  %4: f32[6, {size} + 3] = concatenate(%3, %1, axis=1)
  return %4
}}"""


def test_what_is_joined_of_few_parts_of_memory_is_not_stored() -> None:
    assert stored(JOINED.format(size=5).replace("5 + 3", "8")) == ["concatenate"]


def test_what_is_joined_of_computed_parts_is_stored() -> None:
    text = """graph @main(%x: f32[4, 5]) {
      %0: f32[4, 5] = exp(%x)
      %1: f32[8, 5] = concatenate(%0, %x, axis=0)
      %2: f32[8, 10] = concatenate(%1, %1, axis=1)
      return %2
    }"""
    assert stored(text) == ["exp", "concatenate", "concatenate"]


def test_what_is_joined_of_unknown_sizes_is_not_stored_either() -> None:
    text = """graph @main<s: 2..>(%x: f32[4, s]) {
      %0: f32[8, s] = concatenate(%x, %x, axis=0)
      %1: f32[8, 2*s] = concatenate(%0, %0, axis=1)
      return %1
    }"""
    assert stored(text) == ["concatenate"]
