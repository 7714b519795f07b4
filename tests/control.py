"""Graphs with control flow, and what every way to run them must agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.builder import graph_of
from jitorch.compiler import CONTROL_PASSES, Compiled, compile_graph
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.types import INT, ScalarType, TensorType
from jitorch.ir.verify import verify
from jitorch.ops import OPS, control
from jitorch.passes import pipeline
from jitorch.passes.clean import cse, dce, fold
from jitorch.passes.decompose import decompose
from jitorch.passes.simplify import simplify


def f64(*shape: Any) -> TensorType:
    return TensorType(dtypes.float64, shape)


def body(function: Callable[..., Any], *types: Any, name: str = "body") -> Graph:
    return graph_of(function, types, name)


def recurrence(length: Any = 6, reverse: bool = False, batch: int = 3, width: int = 4) -> Graph:
    """``h = tanh(h @ w + x)`` over the rows of ``xs``; gives the last ``h`` and all ``2 * h``."""

    row, square = f64(batch, width), f64(width, width)

    def step(h: Any, x: Any, w: Any) -> Any:
        new = ((h @ w) + x).tanh()
        return new, new * 2.0

    def whole(h: Any, xs: Any, w: Any) -> Any:
        return control.run_scan([h], [xs], [w], body(step, row, row, square), length, reverse)

    return graph_of(whole, [row, f64(length, batch, width), square], "recurrence")


def counted() -> Graph:
    """``n`` times ``x = sin(1.1 * x) * i``, with Python ints to count."""
    types = (INT, f64(5), INT)
    test = body(lambda i, x, n: i < n, *types, name="test")
    turn = body(lambda i, x, n: (i + 1, (x * 1.1).sin() * i), *types)

    def whole(x: Any, n: Any) -> Any:
        i, x = control.run_while([1, x, n], test, turn, 1)
        return x, i

    return graph_of(whole, [f64(5), INT], "counted")


def newton() -> Graph:
    """Square roots by Newton's iteration, until no element moves by more than 1e-9."""
    types = (f64(7), f64(7))
    test = body(lambda y, x: (y * y - x).abs().max() > 1e-9, *types, name="test")
    turn = body(lambda y, x: y - (y * y - x) / (2 * y), *types)
    return graph_of(lambda x: control.run_while([x * 0 + 1.0, x], test, turn, 1)[0], [f64(7)], "newton")


def branch() -> Graph:
    """Two results of either branch, added."""
    types = (f64(5), f64(5))
    then = body(lambda x, y: (x * y, x.exp()), *types, name="then")
    orelse = body(lambda x, y: (x.sin(), y * 2.0), *types, name="orelse")

    def whole(x: Any, y: Any) -> Any:
        a, b = control.run_cond(x.sum() > 0, [x, y], then, orelse)
        return a + b

    return graph_of(whole, types, "branch")


GRAPHS: dict[str, Callable[[], Graph]] = {
    "recurrence": recurrence, "backwards": lambda: recurrence(reverse=True), "no steps": lambda: recurrence(0),
    "wide": lambda: recurrence(3, batch=1, width=5),
    "counted": counted, "newton": newton, "branch": branch,
}  # fmt: skip


def arguments(graph: Graph, seed: int = 0) -> list[Any]:
    """Values for the inputs: small tensors, 4 for an int; positive ones where a root is taken."""
    rng = np.random.default_rng(seed)
    shift = 1.0 if graph.name.startswith("newton") else 0.0
    return [
        4 if isinstance(v.type, ScalarType) else rng.uniform(-0.6, 0.6, v.type.shape) + shift  # type: ignore[union-attr]
        for v in graph.inputs
    ]


def smooth(values: Sequence[Any]) -> list[int]:
    """Which of ``values`` have a gradient."""
    return [i for i, v in enumerate(values) if isinstance(v.type, TensorType) and v.type.dtype is dtypes.float64]


def meaning(graph: Graph, args: Sequence[Any]) -> list[Any]:
    return interpret(graph, args, control.expand)


def compiled(graph: Graph) -> Compiled:
    """The graph compiled for the processor as one program, its text read back before."""
    verify(graph)
    assert Graph.parse(str(graph), OPS) == graph
    made = compile_graph(graph, "cpu")
    assert [step.artifact.backend for step in made.steps] == ["cpu"]
    return made


def assert_runs_alike(graph: Graph, args: Sequence[Any]) -> Compiled:
    """Native code gives what the graph means."""
    made = compiled(graph)
    for got, want in zip(made.run(args), meaning(graph, args), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)
    return made


def prepared(graph: Graph) -> Graph:
    """``graph`` as `jitorch.lower.program` takes it."""
    work = graph.copy()
    decompose(work)
    pipeline.run(work, (simplify, fold, cse, dce, *CONTROL_PASSES))
    return work
