"""Several turns of a scan as one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch.builder import expand
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.verify import verify
from jitorch.ops import OPS
from jitorch.passes.several_turns import MOST_TURNS, merge_turns

STEP = "%0: f32[5] = mul(%x, %x) %1: f32[5] = add(%0, %c) return %1"


def scan(step: str = STEP, length: int = 40, reverse: bool = False) -> Graph:
    return verify(
        Graph.parse(
            "graph @g(%a: f32[5], %b: f32[5]) {\n"
            f"  %0: f32[5] = scan(%a, %b, body=graph @body(%x: f32[5], %c: f32[5]) {{ {step} }},"
            f" carried=1, stacked=0, length={length}, reverse={reverse})\n  return %0\n}}",
            OPS,
        )
    )


def with_rows(length: int = 12) -> Graph:
    return verify(
        Graph.parse(
            f"graph @g(%a: f32[5], %w: f32[{length}], %n: int) {{\n"
            f"  %0: f32[5], %1: int = scan(%a, %n, %w, body=graph @body(%x: f32[5], %k: int, %r: f32[]) {{\n"
            "    %0: f32[5] = broadcast_to(%r, shape=(5,))\n    %1: f32[5] = mul(%x, %0)\n    return %1, %k\n  },"
            f" carried=2, stacked=1, length={length}, reverse=False)\n  return %0, %1\n}}",
            OPS,
        )
    )


def turns(graph: Graph) -> int:
    (node,) = [n for n in graph.nodes if n.op.name == "scan"]
    return node.attrs["length"]


def values(graph: Graph) -> list[Any]:
    rng = np.random.default_rng(0)
    made = [
        rng.uniform(0, 0.5, v.type.shape).astype(np.float32) if hasattr(v.type, "shape") else 3 for v in graph.inputs
    ]
    return interpret(graph, made, expand)


@pytest.mark.parametrize(("length", "after"), [(40, 5), (36, 6), (9, 3), (14, 2), (16, 2), (25, 5)])
def test_turns_become_one(length: int, after: int) -> None:
    graph = scan(length=length)
    before = values(graph)
    assert merge_turns(graph)
    verify(graph)
    assert turns(graph) == after
    np.testing.assert_array_equal(values(graph)[0], before[0])


@pytest.mark.parametrize("length", [12, 18])
def test_each_turn_has_its_row(length: int) -> None:
    graph = with_rows(length)
    before = values(graph)
    assert merge_turns(graph)
    verify(graph)
    assert turns(graph) * 6 == length
    found = values(graph)
    np.testing.assert_array_equal(found[0], before[0])
    assert found[1] == before[1]


@pytest.mark.parametrize(
    "graph",
    [
        scan(length=1),
        scan(length=MOST_TURNS - 1),
        scan(length=13),
        scan(reverse=True),
        scan("%0: f32[] = reduce_sum(%x, axes=(0,)) %1: f32[5] = broadcast_to(%0, shape=(5,)) return %1"),
        scan("return %x"),
    ],
    ids=["one turn", "a prime", "another prime", "reverse", "a reduction", "nothing changes"],
)
def test_what_is_left_alone(graph: Graph) -> None:
    text = str(graph)
    assert not merge_turns(graph)
    assert str(graph) == text


@pytest.mark.parametrize("size", [1, 100, 3000])
def test_compiled_loops_are_equal_to_python(size: int) -> None:
    def run(x: Any, w: Any) -> Any:
        for i in range(40):
            x = x * 0.9 + w[i] * x * x
        return x

    x, w = jitorch.linspace(0.0, 0.4, size), jitorch.linspace(0.0, 0.1, 40)
    gradients = []
    for function in (jitorch.jit(run, fullgraph=True, dynamic=False), run):
        y = x.clone().requires_grad_()
        out = function(y, w)
        (g,) = jitorch.autograd.grad(out.sum(), y)
        gradients.append((function(x, w).numpy(), out.detach().numpy(), g.numpy()))
    for found, meant in zip(*gradients):
        np.testing.assert_allclose(found, meant, rtol=1e-5, atol=1e-7)
