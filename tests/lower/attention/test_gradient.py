"""Gradients of attention block by block, against the body of the op and against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jitorch
from jitorch import config, dtypes
from jitorch.autograd import grad
from jitorch.compiler import compile_graph
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.types import TensorType
from jitorch.lower.attention.gradient import KEYS, TASKS
from jitorch.nn import functional as F
from jitorch.ops import OPS
from jitorch.passes.decompose import expand
from tests.lower.attention.test_forward import MASKS, SIZES, check_graph, operands
from tests.lower.contractions.test_matmul import TARGETS
from tests.samples import trace_types


def gradient_operands(
    batch: tuple[int, ...], queries: int, keys: int, size: int, width: int, mask: str, dtype: Any = np.float32
) -> list[Any]:
    """The operands of `attention_gradients` but the scale."""
    rng = np.random.default_rng(1)
    g, logarithm, common = (rng.normal(size=(*batch, queries, *last)).astype(dtype) for last in ((width,), (), ()))
    return [g, *operands(batch, queries, keys, size, width, mask, dtype), logarithm + 4, common]


def graph(arrays: list[Any], causal: bool) -> Graph:
    given = [a for a in arrays if a is not None]

    def function(g: Any, q: Any, k: Any, v: Any, *rest: Any) -> Any:
        *mask, logarithm, common = rest
        return OPS["attention_gradients"](
            g, q, k, v, mask[0] if mask else None, 0.3, logarithm, common, causal=causal
        )  # fmt: skip

    return trace_types(function, [TensorType(dtypes.from_numpy(a.dtype), a.shape) for a in given])


def check(arrays: list[Any], causal: bool, target: str) -> None:
    check_graph(graph(arrays, causal), arrays, target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("mask", MASKS)
def test_every_target_under_the_strict_interpreter(target: str, mask: str) -> None:
    check(gradient_operands((2,), 9, 7, 3, 5, mask), mask == "causal", target)


@pytest.mark.parametrize(("queries", "keys"), [(1, 5), (70, 3), (3, 140), (20, 20)])
def test_several_blocks_under_the_strict_interpreter(queries: int, keys: int) -> None:
    for mask in ("none", "causal"):
        check(gradient_operands((), queries, keys, 2, 3, mask), mask == "causal", "neon")


def wide(arrays: list[Any]) -> list[Any]:
    return [a.astype(np.float64) if a is not None and a.dtype == np.float32 else a for a in arrays]


@settings(deadline=None, max_examples=12)
@given(SIZES, SIZES, st.sampled_from([1, 16, 40, 64]), st.sampled_from([1, 24, 64]), st.sampled_from(MASKS))
def test_any_size_as_native_code(queries: int, keys: int, size: int, width: int, mask: str) -> None:
    arrays = gradient_operands((2,), queries, keys, size, width, mask)
    given = [a for a in arrays if a is not None]
    exact = wide(arrays)
    expected = interpret(graph(exact, mask == "causal"), [a for a in exact if a is not None], expand)
    for actual, want in zip(compile_graph(graph(arrays, mask == "causal"), "cpu").run(given), expected, strict=True):
        # Sums of up to 200 products, some of them of order 10.
        np.testing.assert_allclose(actual, want, rtol=2e-5, atol=1e-5 * max(1.0, np.abs(want).max()))


def step(lib: Any, causal: bool) -> Any:
    """Gradients of query, key, value and a float mask."""

    def run(q: Any, k: Any, v: Any, g: Any, mask: Any = None) -> Any:
        wanted = [q, k, v] + ([] if mask is None or mask.dtype is lib.bool else [mask])
        for x in wanted:
            x.grad = None
        out = lib.nn.functional.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)
        out.backward(g)
        return [x.grad for x in wanted]

    return run


@pytest.mark.parametrize("batch", [(), (3,), (2, 5)], ids=str)
@pytest.mark.parametrize("mask", MASKS)
def test_training_against_torch(batch: tuple[int, ...], mask: str) -> None:
    arrays = [a for a in operands(batch, 40, 150, 24, 24, mask) if a is not None]
    arrays.insert(3, np.random.default_rng(2).normal(size=(*batch, 40, 24)).astype(np.float32))

    def given(lib: Any, dtype: Any) -> list[Any]:
        tensors = [lib.tensor(a) if a.dtype == bool else lib.tensor(a).to(dtype) for a in arrays]
        return [t.requires_grad_() if t.dtype.is_floating_point and i != 3 else t for i, t in enumerate(tensors)]

    expected = step(torch, mask == "causal")(*given(torch, torch.float64))
    eager = step(jitorch, mask == "causal")(*given(jitorch, jitorch.float32))
    compiled = jitorch.jit(step(jitorch, mask == "causal"), fullgraph=True)(*given(jitorch, jitorch.float32))
    for want, *found in zip(expected, eager, compiled, strict=True):
        for actual in found:
            np.testing.assert_allclose(actual.numpy(), want.numpy(), rtol=1e-4, atol=5e-6)


@pytest.mark.parametrize("mask", ["none", "causal", "bool", "float"])
def test_gradients_of_gradients(mask: str) -> None:
    arrays = [a for a in operands((), 16, 17, 3, 2, mask, np.float64) if a is not None]

    def attend(*tensors: Any) -> Any:
        q, k, v, *rest = tensors
        return F.scaled_dot_product_attention(q, k, v, rest[0] if rest else None, is_causal=mask == "causal")

    tensors = [jitorch.tensor(a, requires_grad=a.dtype != bool) for a in arrays]
    assert jitorch.autograd.gradcheck(attend, tensors)
    out = attend(*tensors)
    (first,) = grad((out * out).sum(), tensors[0], create_graph=True)
    (second,) = grad(first.pow(2).sum(), tensors[1])
    theirs = [torch.tensor(a, requires_grad=a.dtype != bool) for a in arrays]
    q, k, v, *rest = theirs
    scores = q @ k.mT / 3**0.5
    if mask == "causal":
        scores = scores.masked_fill(~torch.ones(16, 17, dtype=torch.bool).tril(), -np.inf)
    elif mask == "bool":
        # A row that is forbidden altogether is no number in PyTorch's softmax, so it is cut out after it.
        keep = rest[0].any(-1, keepdim=True)
        scores = scores.masked_fill(~rest[0] & keep, -np.inf)
    elif mask == "float":
        scores = scores + rest[0]
    weights = scores.softmax(-1)
    expected = (weights * keep if mask == "bool" else weights) @ v
    (first,) = torch.autograd.grad((expected * expected).sum(), q, create_graph=True)
    (want,) = torch.autograd.grad(first.pow(2).sum(), k)
    np.testing.assert_allclose(second.numpy(), want.numpy(), rtol=1e-9, atol=1e-12)


def test_the_logarithm_has_a_gradient_too() -> None:
    arrays = operands((), 5, 6, 3, 4, "none", np.float64)[:3]

    def both(q: Any, k: Any, v: Any) -> Any:
        return OPS["blockwise_attention"](q, k, v, None, 0.3, causal=False)

    assert jitorch.autograd.gradcheck(both, [jitorch.tensor(a, requires_grad=True) for a in arrays])


@pytest.mark.parametrize("batch", [1, 2, TASKS])
def test_any_number_of_threads_gives_the_same_bits(batch: int) -> None:
    arrays = gradient_operands((batch,), 70, 3 * KEYS + 5, 16, 16, "none")
    given = [a for a in arrays if a is not None]
    made = graph(arrays, False)
    compiled = compile_graph(made, "cpu")
    found = []
    for threads in (1, 2, 3):
        with config.override(num_threads=threads):
            found.append(compiled.run(given))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_there_is_no_matrix_of_scores() -> None:
    shape = (1, 2, 1024, 16)
    tensors = [jitorch.zeros(*shape, requires_grad=True) for _ in range(3)]
    compiled = jitorch.jit(step(jitorch, False), fullgraph=True)
    compiled(*tensors, jitorch.zeros(*shape))
    rows, scores = 2 * 1024 * 4, 2 * 1024 * 1024 * 4
    memory = sum(c.memory[0] for c in compiled.entries[0].function.compiled)
    # The result, logarithms and sums of rows, and four parts of the gradient of the queries.
    assert memory <= 5 * 16 * rows + 3 * rows < scores // 8


def test_vmap_is_one_more_axis() -> None:
    arrays = operands((3,), 16, 16, 4, 4, "none")[:3]
    q, k, v = map(jitorch.tensor, arrays)
    together = F.scaled_dot_product_attention(q, k, v)
    apart = jitorch.vmap(F.scaled_dot_product_attention, in_dims=(0, 0, 0))(q, k, v)
    np.testing.assert_allclose(apart.numpy(), together.numpy(), rtol=1e-6, atol=1e-7)
