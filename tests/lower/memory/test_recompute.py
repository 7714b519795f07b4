"""What is computed again instead of being kept: only late, only where it is cheap and all of it is there."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.compiler import compile_graph
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.lower.contractions.matmul import packed_operand
from jitorch.lower.fuse import plan
from jitorch.lower.groups import LARGE, groups
from jitorch.lower.memory.recompute import FAR, recompute
from tests.lower.graphs import parse

SIDE = 288
assert SIDE * SIDE > LARGE


def chain(between: int, scaled: str = "mul(%h, %b)", last: str = "%h", side: int = SIDE) -> Graph:
    """%s is read by a product and, after ``between`` more of them, by a transpose; ``last`` is read at the end."""
    square = f"f32[{side}, {side}]"
    products = "\n".join(f"%p{i + 1}: {square} = matmul_batched(%p{i}, %x)" for i in range(between))
    return parse(f"""graph @main(%x: {square}, %b: {square}) {{
      %h: {square} = matmul_batched(%x, %b)
      %s: {square} = {scaled}
      %p0: {square} = matmul_batched(%s, %x)
      {products}
      %t: {square} = transpose_axes(%s, perm=(1, 0))
      %u: {square} = add(%t, %p{between})
      %w: {square} = matmul_batched(%u, %x)
      %y: {square} = add(%w, {last})
      return %u, %y
    }}""")


def recomputed(graph: Graph) -> list[list[str]]:
    """What each kernel computes again, by the names of ops."""
    decided = plan(graph)
    found = groups(decided)
    recompute(found, decided, packed_operand)
    return [sorted(v.node.op.name for v in g.recomputed if v.node is not None) for g in found if g.recomputed]


def test_a_cheap_value_is_computed_again_for_a_late_reader() -> None:
    assert recomputed(chain(FAR)) == [["mul"]]


@pytest.mark.parametrize(
    "graph",
    [
        chain(FAR // 2),
        chain(FAR, scaled="exp(%h)"),
        chain(FAR, last="%x"),
        chain(FAR, side=SIDE // 2),
    ],
    ids=["soon", "costly", "gone", "small"],
)
def test_other_values_are_kept(graph: Graph) -> None:
    assert recomputed(graph) == []


def test_results() -> None:
    graph = chain(FAR)
    rng = np.random.default_rng(0)
    arrays = [(rng.normal(size=(SIDE, SIDE)) / SIDE**0.5).astype(np.float32) for _ in range(2)]
    expected = interpret(graph.copy(), arrays)
    for got, want in zip(compile_graph(graph, "cpu").run(arrays), expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)


def gradient(rows: int, last: str = "%h", weight: str = "%d") -> Graph:
    """%s is read by a product and, many products later, packed for the one that is the gradient of a weight."""
    square, tall = f"f32[{SIDE}, {SIDE}]", f"f32[{rows}, {SIDE}]"
    products = "\n".join(f"%p{i + 1}: {square} = matmul_batched(%p{i}, %x)" for i in range(FAR))
    return parse(f"""graph @main(%x: {square}, %b: {square}, %d: {tall}) {{
      %h: {square} = matmul_batched(%x, %b)
      %s: {square} = mul(%h, %b)
      %p0: {square} = matmul_batched(%s, %x)
      {products}
      %g: {tall} = matmul_batched({weight}, %s)
      %y: {square} = add(%p{FAR}, {last})
      return %g, %y
    }}""")


def test_a_cheap_value_is_computed_again_where_it_is_packed() -> None:
    assert recomputed(gradient(SIDE)) == [["mul"]]


@pytest.mark.parametrize(
    "graph", [gradient(8), gradient(SIDE, last="%x"), gradient(SIDE, weight="%s")], ids=["few rows", "gone", "both"]
)
def test_other_operands_are_kept(graph: Graph) -> None:
    assert recomputed(graph) == []


def test_results_of_a_product_that_computes_what_it_packs() -> None:
    graph = gradient(SIDE)
    rng = np.random.default_rng(0)
    arrays = [(rng.normal(size=(SIDE, SIDE)) / SIDE**0.5).astype(np.float32) for _ in range(3)]
    expected = interpret(graph.copy(), arrays)
    for got, want in zip(compile_graph(graph, "cpu").run(arrays), expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
