"""Copies of much memory are kernels, whose loops several threads share."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.compiler import compile_graph
from jitorch.ir import program as host
from jitorch.lower import program
from jitorch.lower.memory.copies import LARGE
from tests.lower.graphs import parse


@pytest.mark.parametrize(("size", "kernels"), [(LARGE // 4, 1), (LARGE // 4 - 1, 0)])
def test_an_input_returned(size: int, kernels: int) -> None:
    graph = parse(f"graph @main(%x: f32[{size}]) {{ return %x }}")
    lowered = program(graph)
    assert len(lowered.kernels) == kernels
    assert sum(isinstance(s, host.Copy) for s in lowered.body) == 1 - kernels
    x = np.arange(size, dtype=np.float32)
    (y,) = compile_graph(graph, "cpu").run([x])
    np.testing.assert_array_equal(y, x)
    assert not np.shares_memory(x, y)


def test_not_on_a_graphics_processor() -> None:
    assert program(parse(f"graph @main(%x: f32[{LARGE}]) {{ return %x }}"), target="gpu").kernels == ()
