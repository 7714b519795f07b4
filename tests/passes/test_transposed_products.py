"""Products that are only read transposed."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.verify import verify
from jitorch.passes.transposed_products import turn_products
from tests.lower.graphs import parse

RNG = np.random.default_rng(0)
PRODUCT = "%0: f32[2, 3, 5] = matmul_batched(%x, %y)"
SWAPPED = "%1: f32[2, 5, 3] = transpose_axes(%0, perm=(0, 2, 1))"


def product(body: str) -> Graph:
    return parse(f"graph @main(%x: f32[2, 3, 4], %y: f32[2, 4, 5]) {{ {body} }}")


def test_the_operands_are_turned_in_place_of_the_result() -> None:
    graph = product(f"{PRODUCT} {SWAPPED} %2: f32[2, 5, 3] = exp(%1) return %1, %2")
    arrays = [RNG.normal(size=s).astype(np.float32) for s in ((2, 3, 4), (2, 4, 5))]
    expected = interpret(graph.copy(), arrays)
    assert turn_products(graph)
    verify(graph)
    names = [node.op.name for node in graph.nodes]
    assert names.index("exp") - 1 == max(i for i, name in enumerate(names) if name == "matmul_batched")
    assert graph.outputs[0].node is not None and graph.outputs[0].node.op.name == "matmul_batched"
    for got, want in zip(interpret(graph, arrays), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        f"{PRODUCT} {SWAPPED} return %0, %1",
        f"{PRODUCT} {SWAPPED} %2: f32[2, 3, 5] = exp(%0) return %1, %2",
        f"{PRODUCT} %1: f32[5, 3, 2] = transpose_axes(%0, perm=(2, 1, 0)) return %1",
        "%0: f32[2, 3, 4] = exp(%x) %1: f32[2, 4, 3] = transpose_axes(%0, perm=(0, 2, 1)) return %1",
    ],
    ids=["a result", "read as it is", "other axes", "no product"],
)
def test_others_stay(body: str) -> None:
    graph = product(body)
    text = str(graph)
    assert not turn_products(graph)
    assert str(graph) == text
