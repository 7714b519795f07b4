"""Attention block by block, against the body of the op and against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jitorch
from jitorch import dtypes
from jitorch.compiler import compile_graph
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.attention.forward import fits_blocks
from jitorch.lower.program import takes_whole
from jitorch.nn import functional as F
from jitorch.ops import OPS
from jitorch.passes.decompose import expand
from tests.lower.contractions.test_matmul import TARGETS
from tests.lower.graphs import execute
from tests.samples import trace_types

MASKS = ("none", "causal", "bool", "float")


def operands(
    batch: tuple[int, ...], queries: int, keys: int, size: int, width: int, mask: str, dtype: Any = np.float32
) -> list[Any]:
    """Query, key, value and mask; with a bool one row 1 is forbidden altogether."""
    rng = np.random.default_rng(0)
    shapes = ((queries, size), (keys, size), (keys, width))
    found: list[Any] = [rng.normal(size=(*batch, *s)).astype(dtype) for s in shapes]
    allowed = rng.random((*batch, queries, keys)) > 0.4
    allowed[..., min(1, queries - 1), :] = False
    masks = {"bool": allowed, "float": rng.normal(size=(*batch, queries, keys)).astype(dtype)}
    return [*found, masks.get(mask)]


def graph(arrays: list[Any], causal: bool) -> Graph:
    """`blockwise_attention` of operands like ``arrays``, with scale 0.3."""
    given = [a for a in arrays if a is not None]

    def function(q: Any, k: Any, v: Any, mask: Any = None) -> Any:
        return OPS["blockwise_attention"](q, k, v, mask, 0.3, causal=causal)

    return trace_types(function, [TensorType(dtypes.from_numpy(a.dtype), a.shape) for a in given])


def check(arrays: list[Any], causal: bool, target: str) -> None:
    check_graph(graph(arrays, causal), arrays, target)


def check_graph(made: Graph, arrays: list[Any], target: str) -> None:
    """The program made of a graph, under the strict interpreter, against what its ops mean."""
    given = [a for a in arrays if a is not None]
    expected = interpret(made, given, expand)
    for actual, want in zip(execute(program(made, "attend", TARGETS[target]), given, expected), expected, strict=True):
        # Sums of some dozen products of order 1, in another order.
        np.testing.assert_allclose(actual, want, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("mask", MASKS)
def test_every_target_under_the_strict_interpreter(target: str, mask: str) -> None:
    check(operands((2,), 9, 7, 3, 5, mask), mask == "causal", target)


@pytest.mark.parametrize(("queries", "keys"), [(1, 5), (70, 3), (3, 140), (20, 20)])
def test_several_blocks_under_the_strict_interpreter(queries: int, keys: int) -> None:
    for mask in ("none", "causal", "bool"):
        check(operands((), queries, keys, 2, 3, mask), mask == "causal", "neon")


def test_leading_axes_may_be_symbols() -> None:
    arrays = operands((3,), 5, 6, 4, 4, "none")
    batch = jitorch.dims.symbol("B")
    types = [TensorType(dtypes.float32, (batch, *a.shape[1:])) for a in arrays[:3]]
    made = trace_types(lambda q, k, v: OPS["blockwise_attention"](q, k, v, None, 0.3, causal=False), types)
    expected = interpret(graph(arrays, False), arrays[:3], expand)
    found = execute(program(made, "attend", TARGETS["avx2"]), arrays[:3], expected, [3])
    for actual, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(actual, want, rtol=1e-5, atol=2e-6)


SIZES = st.sampled_from([1, 2, 7, 16, 17, 33, 64, 65, 130, 200])


@settings(deadline=None, max_examples=12)
@given(SIZES, SIZES, st.sampled_from([1, 3, 16, 40, 64]), st.sampled_from([1, 5, 16, 24, 64]), st.sampled_from(MASKS))
def test_any_size_as_native_code(queries: int, keys: int, size: int, width: int, mask: str) -> None:
    arrays = operands((2,), queries, keys, size, width, mask)
    given = [a for a in arrays if a is not None]
    made = graph(arrays, mask == "causal")
    wide = [a.astype(np.float64) if a.dtype == np.float32 else a for a in given]
    expected = interpret(graph([None if a is None else a.astype(np.float64) if a.dtype == np.float32 else a
                                for a in arrays], mask == "causal"), wide, expand)  # fmt: skip
    for actual, want in zip(compile_graph(made, "cpu").run(given), expected, strict=True):
        np.testing.assert_allclose(actual, want, rtol=2e-5, atol=4e-6)


@pytest.mark.parametrize("layout", ["heads", "turned"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_views_and_dtypes_against_torch(layout: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(2, 48, 3, 4, 20) if layout == "heads" else (3, 2, 4, 20, 48)).astype(np.float32)

    def attend(lib: Any, x: Any) -> Any:
        qkv = x.permute(2, 0, 3, 1, 4) if layout == "heads" else x.permute(0, 1, 2, 4, 3)
        return lib.nn.functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], is_causal=True)

    compiled = jitorch.jit(lambda x: attend(jitorch, x), fullgraph=True)
    x = jitorch.tensor(data).to(getattr(jitorch, dtype))
    expected = attend(torch, torch.tensor(x.float().numpy()).double()).numpy()
    bits = {"float32": 1e-6, "float64": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}[dtype]
    np.testing.assert_allclose(compiled(x).float().numpy(), expected, atol=bits)
    np.testing.assert_allclose(attend(jitorch, x).float().numpy(), expected, atol=bits)


def test_infinite_scores() -> None:
    """A row without any finite score is not a number, as a softmax of it is; one with some is not touched by others."""
    q, k = np.ones((3, 2), np.float32), np.zeros((40, 2), np.float32)
    k[:33] = -np.inf
    rows = np.array([[1, 1], [0.5, 0.5], [np.nan, 1]], np.float32)
    v = np.arange(80, dtype=np.float32).reshape(40, 2)
    made = graph([q, k, v, None], False)
    out, logarithm = compile_graph(made, "cpu").run([rows, k, v])
    np.testing.assert_allclose(out[:2], np.broadcast_to(v[33:].mean(0), (2, 2)), rtol=1e-6)
    np.testing.assert_allclose(logarithm[:2], np.log(7), rtol=1e-6)
    assert np.isnan(out[2]).all()
    k[:] = -np.inf
    out, _ = compile_graph(made, "cpu").run([rows, k, v])
    assert np.isnan(out).all()


def test_there_is_no_matrix_of_scores() -> None:
    shape = (1, 2, 1024, 16)
    x = jitorch.zeros(*shape)
    compiled = jitorch.jit(lambda q: F.scaled_dot_product_attention(q, q, q), fullgraph=True)
    compiled(x)
    lowered = program(graph([np.zeros(shape, np.float32)] * 3 + [None], False), "attend")
    scores = 1024 * 1024
    assert all(b.size is None or b.size < scores // 8 for kernel in lowered.kernels for b in kernel.scratch)
    memory = compiled.explain().split("peak memory ")[1].split(":")[0]
    assert memory == "136 KiB", memory  # the result, and a logarithm a row


def test_what_follows_is_a_kernel_of_its_own() -> None:
    """A recipe of two results takes no epilogue."""
    q, k, v = map(jitorch.tensor, operands((2,), 17, 18, 4, 5, "none")[:3])
    compiled = jitorch.jit(lambda q, k, v: F.scaled_dot_product_attention(q, k, v) * 2 + 1, fullgraph=True)
    expected = F.scaled_dot_product_attention(q, k, v) * 2 + 1
    np.testing.assert_allclose(compiled(q, k, v).numpy(), expected.numpy(), rtol=1e-5, atol=2e-6)


def test_short_or_symbolic_sequences_are_decomposed() -> None:
    def ops(*shape: Any) -> set[str]:
        types = [TensorType(dtypes.float32, shape)] * 3
        traced = trace_types(lambda q, k, v: F.scaled_dot_product_attention(q, k, v), types)
        return {node.op.name for node in traced.nodes}

    assert "blockwise_attention" in ops(2, 16, 8)
    assert "blockwise_attention" not in ops(2, 15, 8)
    assert "blockwise_attention" not in ops(2, jitorch.dims.symbol("L", 16), 8)
    assert "blockwise_attention" in ops(jitorch.dims.symbol("B"), 16, 8)


@pytest.mark.parametrize(("size", "dtype"), [(600, np.float32), (300, np.float64)])
def test_rows_that_do_not_fit_a_block_are_left_to_the_body(size: int, dtype: Any) -> None:
    made = graph(operands((), 16, 16, size, size, "none", dtype), False)
    node = next(n for n in made.nodes if n.op.name == "blockwise_attention")
    assert not fits_blocks(node)
    assert not takes_whole(node)
    small = graph(operands((), 16, 16, 32, 32, "none", dtype), False)
    assert all(takes_whole(n) for n in small.nodes if n.op.name == "blockwise_attention")


def test_other_backends_get_the_body() -> None:
    arrays = operands((2,), 16, 16, 4, 4, "bool")
    made = graph(arrays, False)
    expected = interpret(made, arrays, expand)
    for actual, want in zip(compile_graph(made, "reference").run(arrays), expected, strict=True):
        np.testing.assert_array_equal(actual, want)
