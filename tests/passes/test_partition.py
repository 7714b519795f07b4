"""Regions: constants are made in each that reads them, everything else is handed over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jitorch.ir.graph import Graph, Node
from jitorch.ir.interpret import interpret
from jitorch.ops import OPS
from jitorch.passes.partition import Region, partition

TEXT = """graph @main(%x: f32[3]) {
  %0: f32[] = constant(value=2.0, dtype=f32)
  %1: f32[3] = broadcast_to(%0, shape=(3,))
  %2: f32[3] = exp(%x)
  %3: f32[3] = sin(%2)
  %4: f32[3] = mul(%3, %1)
  return %4
}"""


def regions(text: str, backend: Callable[[Node], str]) -> list[Region]:
    return partition(Graph.parse(text, OPS), backend)


def own(region: Region) -> list[str]:
    return [node.op.name for node in region.graph]


def test_a_constant_is_made_where_it_is_read() -> None:
    first, second, third = regions(TEXT, lambda node: "other" if node.op.name == "sin" else "cpu")
    assert [own(first), own(second), own(third)] == [["exp"], ["sin"], ["constant", "broadcast_to", "mul"]]
    assert len(first.outputs) == 1 and len(third.inputs) == 1
    x = np.array([0.0, 1.0, 2.0], np.float32)
    found = interpret(third.graph, [np.sin(np.exp(x))])[0]
    np.testing.assert_allclose(found, 2 * np.sin(np.exp(x)), rtol=1e-6)


def test_a_constant_that_another_backend_reads_is_handed_over() -> None:
    first, second = regions(TEXT, lambda node: "other" if node.op.name in ("sin", "mul") else "cpu")
    assert "constant" not in own(second)
    assert {v.node.op.name for v in first.outputs if v.node} == {"broadcast_to", "exp"}


def test_a_constant_that_is_a_result_is_an_output() -> None:
    text = TEXT.replace("return %4", "return %4, %1")
    first, _, third = regions(text, lambda node: "other" if node.op.name == "sin" else "cpu")
    assert {v.node.op.name for v in (*first.outputs, *third.outputs) if v.node} == {"broadcast_to", "exp", "mul"}


def test_nothing_is_left_of_a_region_of_constants_for_others() -> None:
    text = TEXT.replace("exp(%x)", "sin(%x)")
    first, second = regions(text, lambda node: "other" if node.op.name == "sin" else "cpu")
    assert [own(first), own(second)] == [["sin", "sin"], ["constant", "broadcast_to", "mul"]]
