"""Hypothesis strategies for types, attributes and graphs."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.dims import Dim, SymDim, dim_max, dim_min, floordiv, mod
from jitorch.errors import Location
from jitorch.ir import types
from jitorch.ir.graph import Graph, Value
from jitorch.ir.literal import Literal
from jitorch.ir.types import TensorType, Type
from tests.dims.expressions import SYMBOLS
from tests.ir import toys

_CALLS = (dim_min, dim_max, floordiv, mod)
_IDENTIFIERS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(str.isidentifier) | st.sampled_from(
    ["list", "graph", "inf", "none", "return", "array", "sha256"]
)


@st.composite
def sizes(draw: st.DrawFn) -> Dim:
    size: Dim = draw(st.integers(0, 12))
    for symbol in draw(st.lists(st.sampled_from(SYMBOLS), max_size=3)):
        kind = draw(st.integers(0, 2))
        if kind == 0:
            size = size * symbol.dim + draw(st.integers(-3, 3))
        elif kind == 1:
            size = symbol.dim - size
        else:
            size = draw(st.sampled_from(_CALLS))(size, symbol.dim + draw(st.integers(4, 9)))
    return size


@cache
def symbolic_sizes() -> st.SearchStrategy[Dim]:
    return sizes().filter(lambda size: isinstance(size, SymDim))


@cache
def tensor_types() -> st.SearchStrategy[TensorType]:
    return st.builds(TensorType, st.sampled_from(dtypes.ALL), st.lists(sizes(), max_size=3).map(tuple))


def _containers(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    return st.one_of(
        st.builds(types.ListType, inner),
        st.builds(types.OptionalType, inner),
        st.builds(types.TupleType, st.lists(inner, max_size=3).map(tuple)),
        st.builds(types.DictType, inner, inner),
        st.builds(
            types.RecordType,
            _IDENTIFIERS | st.text(max_size=8),
            st.lists(st.tuples(_IDENTIFIERS, inner), max_size=3).map(tuple),
        ),
    )


@cache
def all_types() -> st.SearchStrategy[Type]:
    leaves = tensor_types() | st.sampled_from([*types.PYTHON_TYPES.values(), types.EFFECT])
    return st.recursive(leaves, _containers, max_leaves=4)


@st.composite
def literals(draw: st.DrawFn) -> Literal:
    dtype = draw(st.sampled_from(dtypes.ALL))
    shape = draw(st.lists(st.integers(0, 5), max_size=3).map(tuple))
    count = int(np.prod(shape, dtype=int)) * dtype.itemsize
    data = draw(st.binary(min_size=count, max_size=count))
    if dtype is dtypes.bool_:
        data = bytes(byte & 1 for byte in data)
    return Literal(np.frombuffer(data, dtype.numpy).reshape(shape))


@cache
def attributes(depth: int = 2) -> st.SearchStrategy[Any]:
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.complex_numbers(),
        st.text(max_size=12),
        st.sampled_from(dtypes.ALL),
        symbolic_sizes(),
        all_types(),
        literals(),
        *([graphs(depth - 1)] if depth else []),
    )
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)


@st.composite
def graphs(draw: st.DrawFn, depth: int = 2) -> Graph:
    """Graphs of any types, attributes and wiring: what has a text, whether or not it makes sense."""
    graph = Graph(draw(st.sampled_from(["main", "a.b", "f.<locals>.g", "", '"']) | st.text(max_size=5)))
    for type in draw(st.lists(all_types(), max_size=3)):
        graph.add_input(type, draw(st.none() | st.sampled_from(["x", "in1", "0", "", "w.bias", "Ünicode"])))
    values: list[Value | None] = [None, *graph.inputs]
    for _ in range(draw(st.integers(0, 4))):
        operands = draw(st.lists(st.sampled_from(values), max_size=3))
        attrs = {"value": draw(attributes(depth)), "other": draw(attributes(0))}
        where = draw(
            st.none() | st.builds(Location, st.sampled_from(["a.py", "<input 1>", "x: y.py"]), st.integers(1, 999))
        )
        node = graph.append(toys.anything, operands, attrs, draw(st.lists(all_types(), max_size=2)), where)
        values += node.outputs
    if len(values) > 1:
        graph.outputs = draw(st.lists(st.sampled_from(values[1:]), max_size=3))
    pairs = [(i.index, o) for i in graph.inputs for o, value in enumerate(graph.outputs) if i.type == value.type]
    if pairs:
        graph.writes = tuple(draw(st.lists(st.sampled_from(pairs), max_size=2, unique_by=lambda pair: pair[0])))
    return graph


@st.composite
def typed_graphs(draw: st.DrawFn) -> Graph:
    """Well-formed graphs over `f32` tensors of two axes that NumPy can run."""
    graph = Graph("typed", [toys.f32(4, 3)] * draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(0, 6))):
        values = [*graph.inputs, *(v for node in graph.nodes for v in node.outputs)]
        x = draw(st.sampled_from(values))
        y = draw(st.sampled_from([v for v in values if v.type == x.type]))
        op = draw(st.sampled_from([toys.add, toys.concat, toys.halves, toys.biased]))
        if op is toys.concat:
            toys.apply(graph, op, x, y, x, axis=draw(st.integers(0, 1)))
        elif op is toys.biased:
            toys.apply(graph, op, x, draw(st.sampled_from([None, y])))
        elif op is toys.add:
            toys.apply(graph, op, x, y)
        elif x.type.shape[0] % 2 == 0:
            graph.append(op, [x], {}, op.rules["type"](x.type))
    values = [*graph.inputs, *(v for node in graph.nodes for v in node.outputs)]
    graph.outputs = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
    return graph
