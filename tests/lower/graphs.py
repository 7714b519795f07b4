"""Graphs from text, and what lowering makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.kernel_interpret import program_interpret
from jitorch.ir.program import Program
from jitorch.ir.program_verify import verify_program
from jitorch.ir.verify import verify
from jitorch.lower import program
from jitorch.ops import OPS


def parse(text: str) -> Graph:
    graph = Graph.parse(text, OPS)
    verify(graph)
    return graph


def execute(lowered: Program, arrays: Sequence[Any], like: Sequence[Any], scalars: Sequence[Any] = ()) -> list[Any]:
    """Run a program by the strict interpreter; its outputs have the shapes and dtypes of ``like``."""
    verify_program(lowered)
    outputs = [np.full(np.shape(x), 77, np.asarray(x).dtype) for x in like]
    assert program_interpret(lowered, arrays, outputs, scalars) == 0
    return outputs


def assert_lowers(text: str, *arrays: np.ndarray) -> Program:
    """The program of a graph gives what the graph means: exactly for integers, to 1e-6 for floats."""
    graph = parse(text)
    expected = interpret(graph.copy(), arrays)
    lowered = program(graph)
    for actual, want in zip(execute(lowered, arrays, expected), expected, strict=True):
        # Sums of at most some hundred float32 products of order 1, in another order.
        np.testing.assert_allclose(actual, want, rtol=1e-6 if want.dtype.kind == "f" else 0, atol=1e-5)
    return lowered
