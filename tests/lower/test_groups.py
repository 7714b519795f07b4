"""Which stored values one kernel computes, before rows and epilogues are joined."""

from __future__ import annotations

from jitorch.lower.fuse import plan
from jitorch.lower.groups import LARGE, MOST_BESIDE, groups
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


def updates(count: int, shared: bool) -> str:
    """Three values of each of many parameters; ``shared``: all read one tensor."""
    numbers = range(count)
    inputs = ", ".join(f"%m{n}: f32[4], %p{n}: f32[4]" for n in numbers)
    lines = (
        f"""
      %a{n}: f32[4] = mul(%m{n}, {"%m0" if shared else f"%m{n}"})
      %b{n}: f32[4] = mul(%p{n}, {"%m0" if shared else f"%m{n}"})
      %c{n}: f32[4] = sub(%p{n}, %a{n})"""
        for n in numbers
    )
    results = ", ".join(f"%{name}{n}" for n in numbers for name in "abc")
    return f"graph @main({inputs}) {{{''.join(lines)}\n      return {results}\n    }}"


def test_updates_of_many_parameters_are_groups_of_a_few() -> None:
    each = MOST_BESIDE // 3
    assert names(updates(2 * each + 1, False)) == [["mul", "mul", "sub"] * count for count in (each, each, 1)]


def test_as_many_as_share_a_tensor_are_one_group() -> None:
    assert len(names(updates(MOST_BESIDE, True))[0]) > MOST_BESIDE
