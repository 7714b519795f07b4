"""Which stored values one kernel computes, before rows and epilogues are joined."""

from __future__ import annotations

from jitorch.lower.fuse import plan
from jitorch.lower.groups import LARGE, groups
from tests.lower.graphs import parse


def names(text: str) -> list[list[str]]:
    return [[v.node.op.name for v in g.values if v.node is not None] for g in groups(plan(parse(text)))]


def test_maps_of_one_shape_are_joined() -> None:
    text = """graph @main(%x: f32[4], %y: f32[4]) {
      %0: f32[4] = exp(%x)
      %1: f32[4] = sin(%y)
      return %0, %1
    }"""
    assert names(text) == [["exp", "sin"]]


def test_a_map_that_reads_another_element_stays_apart() -> None:
    text = """graph @main(%x: f32[4]) {
      %0: f32[4] = exp(%x)
      %1: f32[4] = flip_axes(%0, axes=(0,))
      return %0, %1
    }"""
    assert names(text) == [["exp"], ["flip_axes"]]


def test_maps_of_two_shapes_stay_apart() -> None:
    text = """graph @main(%x: f32[4], %y: f32[5]) {
      %0: f32[4] = exp(%x)
      %1: f32[5] = exp(%y)
      return %0, %1
    }"""
    assert names(text) == [["exp"], ["exp"]]


def test_large_maps_that_share_nothing_stay_apart() -> None:
    size = LARGE + 1
    text = f"""graph @main(%x: f32[{size}], %y: f32[{size}]) {{
      %0: f32[{size}] = exp(%x)
      %1: f32[{size}] = sin(%y)
      %2: f32[{size}] = cos(%x)
      return %0, %1, %2
    }}"""
    assert names(text) == [["exp", "cos"], ["sin"]]
