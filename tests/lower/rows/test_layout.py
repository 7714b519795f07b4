"""Layouts: which loop makes what, and where vectors lie that only their kernel reads."""

from __future__ import annotations

from jitorch.ir.graph import Graph
from jitorch.lower.fuse import plan
from jitorch.lower.groups import groups
from jitorch.lower.rows.joined import row_groups
from jitorch.lower.rows.layout import LOCAL_BYTES, Layout, layout
from tests.lower.graphs import parse

SOFTMAX = """graph @main(%x: f32[64, {n}]) {{
  %0: f32[64] = reduce_max(%x, axes=(1,))
  %1: f32[64, 1] = reshape_to(%0, shape=(64, 1))
  %2: f32[64, {n}] = broadcast_to(%1, shape=(64, {n}))
  %3: f32[64, {n}] = sub(%x, %2)
  %4: f32[64, {n}] = exp(%3)
  %5: f32[64] = reduce_sum(%4, axes=(1,))
  %6: f32[64, 1] = reshape_to(%5, shape=(64, 1))
  %7: f32[64, {n}] = broadcast_to(%6, shape=(64, {n}))
  %8: f32[64, {n}] = div(%4, %7)
  return %8{more}
}}"""


def layout_of(graph: Graph) -> Layout:
    decided = plan(graph)
    (group,) = row_groups(groups(decided), decided)
    return layout(group, decided, set(graph.outputs))


def stages(found: Layout) -> list[tuple[str, int]]:
    return [(item.value.node.op.name, item.stage) for item in found.items if item.value.node is not None]


def test_softmax_takes_three_loops_and_a_local_row() -> None:
    found = layout_of(parse(SOFTMAX.format(n=100, more="")))
    assert [stage for name, stage in stages(found) if name in ("reduce_max", "exp", "reduce_sum", "div")] == [
        1,
        2,
        2,
        3,
    ]
    assert [(b.space, b.size) for b in found.local.values()] == [("local", 100)]
    assert not found.shared


def test_a_row_too_long_for_the_stack_lies_in_the_result() -> None:
    found = layout_of(parse(SOFTMAX.format(n=LOCAL_BYTES, more="")))
    assert not found.local
    assert [(v.node.op.name, w.node.op.name) for v, w in found.shared.items() if v.node and w.node] == [("exp", "div")]


def test_a_vector_that_others_want_has_its_own_memory() -> None:
    graph = parse(SOFTMAX.format(n=100, more=", %4"))
    found = layout_of(graph)
    assert set(graph.outputs) <= found.memory
    assert not found.local and not found.shared


def test_what_is_cheap_is_computed_again() -> None:
    text = """graph @main(%x: f32[64, 100]) {
      %0: f32[64] = reduce_sum(%x, axes=(1,))
      %1: f32[64, 1] = reshape_to(%0, shape=(64, 1))
      %2: f32[64, 100] = broadcast_to(%1, shape=(64, 100))
      %3: f32[64, 100] = sub(%x, %2)
      %4: f32[64, 100] = mul(%3, %3)
      %5: f32[64] = reduce_sum(%4, axes=(1,))
      %6: f32[64, 1] = reshape_to(%5, shape=(64, 1))
      %7: f32[64, 100] = broadcast_to(%6, shape=(64, 100))
      %8: f32[64, 100] = mul(%3, %7)
      return %8
    }"""
    found = layout_of(parse(text))
    assert not found.local and not found.shared
    assert max(item.stage for item in found.items) == 3
