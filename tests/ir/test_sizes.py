"""Sizes as expressions, and who carries them."""

from __future__ import annotations

from jitorch import dtypes
from jitorch.dims import dim_max, dim_min, floordiv, mod, symbol
from jitorch.ir import kernel as k
from jitorch.ir.graph import Graph
from jitorch.ir.sizes import carriers, dim_of, size_expr
from jitorch.ir.types import TensorType
from jitorch.ops import OPS

N, M = symbol("n"), symbol("m")


def floats(*shape):
    return TensorType(dtypes.float32, shape)


def test_a_size_is_an_expression_over_its_symbols():
    assert str(size_expr(N * M + 2)) == str(size_expr(N * M + 2))
    assert "n" in str(size_expr(N + 1))


def test_a_size_is_found_in_its_expression():
    sizes = {"n": N, "m": M}
    for size in (3, N, N * M - 2, dim_min(N, M + 1), dim_max(N, 2 * M), floordiv(N, 2), mod(N, M + 1) * 3):
        assert dim_of(size_expr(size), sizes) == size


def test_what_is_no_size_is_none():
    sizes = {"n": N}
    n, m = size_expr(N), size_expr(M)
    assert dim_of(n + m, sizes) is None
    assert dim_of(k.const(2) // n, sizes) is None  # n may be 0
    assert dim_of(k.Var("n", dtypes.float32), sizes) is None
    assert dim_of(k.Load(k.Buffer("x", dtypes.int64), n), sizes) is None


def test_inputs_that_tell_a_missing_size_are_found():
    graph = Graph("main", [floats(N * 2), floats(M, N), floats(N)])
    zero = graph.append(OPS["constant"], (), {"value": 0.0, "dtype": dtypes.float32}, (floats(),)).output
    graph.append(OPS["broadcast_to"], (zero,), {"shape": (N, 3)}, (floats(N, 3),))
    doubled, both, single = graph.inputs
    assert carriers(graph.nodes, [single], graph.inputs) == []
    assert carriers(graph.nodes, [doubled], graph.inputs) == [both]
    assert carriers(graph.nodes, [], [doubled, single]) == [single]


def test_sizes_in_attributes_count():
    graph = Graph("main", [floats(N)])
    graph.append(OPS["iota"], (), {"size": M, "dtype": dtypes.int64}, (TensorType(dtypes.int64, (M,)),))
    other = Graph("other", [floats(M)])
    assert carriers(graph.nodes, graph.inputs, other.inputs) == other.inputs
