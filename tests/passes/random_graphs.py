"""Random graphs of real ops that NumPy can run, with what passes look for: neutral constants, views, dead code."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.builder import infer
from jitorch.ir.graph import Graph, Value
from jitorch.ir.types import TensorType
from jitorch.ops import OPS

Step = Callable[[st.DrawFn, Graph, Value], Value]


def emit(graph: Graph, name: str, *operands: Value, **attrs: Any) -> Value:
    """Append a node of one output."""
    op = OPS[name]
    return graph.append(op, operands, attrs, infer(op, [v.type for v in operands], attrs)).output


def shape_of(value: Value) -> tuple[int, ...]:
    assert isinstance(value.type, TensorType)
    return tuple(d for d in value.type.shape if isinstance(d, int))


def _constant(graph: Graph, number: float, shape: tuple[int, ...]) -> Value:
    return emit(graph, "broadcast_to", emit(graph, "constant", value=number, dtype=dtypes.float64), shape=shape)


def _smooth(draw: st.DrawFn, graph: Graph, x: Value) -> Value:
    return emit(graph, draw(st.sampled_from(["neg", "sin", "tanh", "square", "copy"])), x)


def _with_kinks(draw: st.DrawFn, graph: Graph, x: Value) -> Value:
    return (
        emit(graph, "abs", x) if draw(st.booleans()) else emit(graph, "maximum", x, _constant(graph, 0.0, shape_of(x)))
    )


def _with_constant(draw: st.DrawFn, graph: Graph, x: Value) -> Value:
    name = draw(st.sampled_from(["add", "sub", "mul", "div", "pow"]))
    number = draw(st.sampled_from([1.0, 2.0] if name in ("div", "pow") else [0.0, 1.0, 2.0]))
    constant = _constant(graph, number, shape_of(x))
    commutes = name in ("add", "mul") and draw(st.booleans())
    return emit(graph, name, constant, x) if commutes else emit(graph, name, x, constant)


def _with_another(draw: st.DrawFn, graph: Graph, x: Value) -> Value:
    others = [v for v in _values(graph) if v.type == x.type]
    y = draw(st.sampled_from(others))
    if draw(st.booleans()):
        return emit(graph, draw(st.sampled_from(["add", "sub"])), x, y)
    # Sines keep the factors, and with them the rounding errors, small.
    return emit(graph, "mul", emit(graph, "sin", x), emit(graph, "sin", y))


def _reshape(draw: st.DrawFn, graph: Graph, x: Value) -> Value:
    shape = shape_of(x)
    return emit(graph, "reshape_to", x, shape=draw(st.sampled_from([shape, (prod(shape),), (1, *shape), (*shape, 1)])))


def _transpose(draw: st.DrawFn, graph: Graph, x: Value) -> Value:
    for _ in range(draw(st.integers(1, 2))):
        x = emit(graph, "transpose_axes", x, perm=tuple(draw(st.permutations(range(len(shape_of(x)))))))
    return x


def _broadcast(draw: st.DrawFn, graph: Graph, x: Value) -> Value:
    return emit(graph, "broadcast_to", x, shape=(*draw(st.sampled_from([(), (1,), (2,)])), *shape_of(x)))


def _slice(draw: st.DrawFn, graph: Graph, x: Value) -> Value:
    shape = shape_of(x)
    starts = tuple(draw(st.integers(0, n - 1)) if draw(st.booleans()) else 0 for n in shape)
    steps = tuple(draw(st.integers(1, 2)) for _ in shape)
    return emit(graph, "slice_axes", x, starts=starts, stops=shape, steps=steps)


def _sum(draw: st.DrawFn, graph: Graph, x: Value) -> Value:
    axes = draw(st.lists(st.sampled_from(range(len(shape_of(x)))), unique=True)) if shape_of(x) else []
    return emit(graph, "reduce_sum", x, axes=tuple(sorted(axes)))


def _cast(draw: st.DrawFn, graph: Graph, x: Value) -> Value:
    there = emit(graph, "cast", x, dtype=draw(st.sampled_from([dtypes.float64, dtypes.float32])), number=False)
    return emit(graph, "cast", there, dtype=dtypes.float64, number=False)


_SMOOTH: tuple[Step, ...] = (
    _smooth, _with_constant, _with_another, _reshape, _transpose, _broadcast, _slice, _sum
)  # fmt: skip
_STEPS: tuple[Step, ...] = (*_SMOOTH, _with_kinks, _cast)


def _values(graph: Graph) -> list[Value]:
    return [*graph.inputs, *(v for node in graph.nodes for v in node.outputs)]


@st.composite
def graphs(draw: st.DrawFn, smooth: bool = False) -> Graph:
    """One to two f64 inputs, up to eight steps, one to two outputs; ``smooth``: differentiable, no value is rounded."""
    shapes = st.sampled_from([(), (3,), (2, 1), (4, 2, 3)])
    graph = Graph("main", [TensorType(dtypes.float64, draw(shapes)) for _ in range(draw(st.integers(1, 2)))])
    results = list(graph.inputs)
    for _ in range(draw(st.integers(1, 8))):
        # Rules match chains, so a step mostly goes on from the last one.
        x = results[-1] if draw(st.integers(0, 2)) else draw(st.sampled_from(results))
        if prod(shape_of(x)) <= 64 and len(shape_of(x)) <= 4:
            step = draw(st.sampled_from(_SMOOTH if smooth else _STEPS))
            results.append(step(draw, graph, x))
    graph.outputs = [results[-1], *draw(st.lists(st.sampled_from(results), max_size=1))]
    return graph


def inputs_of(graph: Graph) -> list[np.ndarray[Any, Any]]:
    """Arrays for the inputs, the same for the same graph."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape_of(value)) for value in graph.inputs]
