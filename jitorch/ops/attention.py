"""Attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import ArgumentError, DTypeError, ShapeError
from jitorch.ops.batching import repeated
from jitorch.ops.dropout import dropout
from jitorch.ops.helpers import kept, narrow_to, number_of, ramp, require_float, sum_over, widen
from jitorch.ops.linalg import matmul, swap_last
from jitorch.ops.math import exp, log, where
from jitorch.ops.normalize import broadcast_shapes, is_number
from jitorch.ops.reduce import reduce_max
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.softmax import softmax_op
from jitorch.ops.structure import broadcast_to, reduce_sum, reshape_to

Tensor = Any


def _scores(query: Tensor, key: Tensor, mask: Tensor | None, scale: Any, causal: bool) -> Tensor:
    """``query @ key.mT * scale`` with what the mask forbids at minus infinity."""
    scores = matmul(query, swap_last(key)) * scale
    if causal:
        rank = scores.ndim
        rows, columns = ramp(scores.shape[-2], rank - 2, rank), ramp(scores.shape[-1], rank - 1, rank)
        scores = where(columns <= rows, scores, -math.inf)
    if mask is None:
        return scores
    return where(mask, scores, -math.inf) if mask.dtype is dtypes.bool_ else scores + mask


def _weights(scores: Tensor, masked: bool) -> Tensor:
    """Softmax over the last axis, 0 in rows that are forbidden altogether."""
    axis = scores.ndim - 1
    if not masked:
        return softmax_op(scores, axis=axis)
    nothing = kept(reduce_max(scores, axes=(axis,)), scores, (axis,)) == -math.inf
    return where(nothing, 0.0, softmax_op(where(nothing, 0.0, scores), axis=axis))


def _attention_samples(rng: Any, sizes: tuple[int, int, int], size: int, width: int) -> Any:
    """Calls without and with masks, of which one forbids a row altogether; ``sizes``: batch, queries and keys."""
    batch, queries, keys = sizes
    q, k, v = (rng.normal(size=(batch, *s)) for s in ((queries, size), (keys, size), (keys, width)))
    allowed = rng.random((queries, keys)) > 0.4
    allowed[1] = False
    yield Sample(q, k, v, None, 0.5, causal=False)
    yield Sample(q, k, v, rng.normal(size=(batch, queries, keys)), 0.5, causal=False)
    yield Sample(q, k, v, np.broadcast_to(allowed, (batch, queries, keys)).copy(), 0.5, causal=False)
    yield Sample(q, k, v, None, 0.5, causal=True)


@op(name="scaled_dot_product_attention", places=())
def attention_op(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, *, causal: bool
) -> Tensor:
    """``softmax(query @ key.mT * scale + mask) @ value``; ``causal`` lets row i see columns up to i."""
    scores = _scores(widen(query), widen(key), mask, scale, causal)
    return narrow_to(matmul(_weights(scores, mask is not None), widen(value)), query.dtype)


@attention_op.samples
def _(rng):
    yield from _attention_samples(rng, (2, 3, 5), 4, 6)


# ---- the same without the matrix of scores ---------------------------------------------------------------------
@op(places=(), lowering="recipe")
def blockwise_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, *, causal: bool
) -> tuple[Tensor, Tensor]:
    """`attention_op`, and the logarithm of the sum of exponentials of each row of scores, which its gradient needs.

    ``[*B, L, E]``, ``[*B, S, E]``, ``[*B, S, V]`` and a mask ``[*B, L, S]`` to ``[*B, L, V]`` and ``[*B, L]``.
    A row that is forbidden altogether has 0 in both.  Where a backend takes it whole, there is never a block of
    scores larger than its caches: Dao et al. (arXiv:2205.14135).
    """
    scores = _scores(query, key, mask, scale, causal)
    axis = scores.ndim - 1
    shift = kept(reduce_max(scores, axes=(axis,)), scores, (axis,))
    if mask is not None:
        nothing = shift == -math.inf
        shift = where(nothing, 0.0, shift)
    weights = exp(scores - shift)
    total = sum_over(weights, (axis,))
    factor, logarithm = 1 / total, shift + log(total)
    if mask is not None:
        factor, logarithm = where(nothing, 0.0, factor), where(nothing, 0.0, logarithm)
    return matmul(weights, value) * factor, reshape_to(logarithm, shape=tuple(scores.shape[:-1]))


@blockwise_attention.vjp
def _(g, out, query, key, value, mask, scale, *, causal):
    g_out, g_logarithm = g
    result, logarithm = out
    # What a row's gradient has in common (arXiv:2307.08691, section 2.3): d score = weight * (d weight - common).
    common = reduce_sum(g_out * result, axes=(result.ndim - 1,)) - g_logarithm
    found = attention_gradients(g_out, query, key, value, mask, scale, logarithm, common, causal=causal)
    if mask is None or mask.dtype is dtypes.bool_:
        return found

    def mask_gradient() -> Tensor:
        return _score_gradients(g_out, query, key, value, mask, scale, logarithm, common, causal)[1]

    return (*found, mask_gradient)


def _score_gradients(
    g: Tensor, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: Any, logarithm: Tensor,
    common: Tensor, causal: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The weights, computed again, and the gradient of the scores with the mask added."""
    scores = _scores(query, key, mask, scale, causal)
    axis = (scores.ndim - 1,)
    weights = exp(scores - kept(logarithm, scores, axis))
    return weights, weights * (matmul(g, swap_last(value)) - kept(common, scores, axis))


@op(places=(), lowering="recipe")
def attention_gradients(
    g: Tensor, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, logarithm: Tensor,
    common: Tensor, *, causal: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """What ``g: [*B, L, V]``, the gradient of the result, sends back to query, key and value of `blockwise_attention`.

    ``logarithm: [*B, L]`` is its second result; ``common: [*B, L]`` is the sum over ``g * result`` of each row, less
    the gradient of the second result.
    """
    weights, d_scores = _score_gradients(g, query, key, value, mask, scale, logarithm, common, causal)
    d_product = d_scores * scale
    return matmul(d_product, key), matmul(swap_last(d_product), query), matmul(swap_last(weights), g)


@blockwise_attention.batch
def _(size, batched, *operands, causal):
    return blockwise_attention(*_all_repeated(size, batched, operands), causal=causal)


@attention_gradients.batch
def _(size, batched, *operands, causal):
    return attention_gradients(*_all_repeated(size, batched, operands), causal=causal)


def _all_repeated(size: Any, batched: Any, operands: Any) -> list[Any]:
    return [None if x is None else repeated(size, flag, x) for x, flag in zip(operands, batched)]


@blockwise_attention.samples
def _(rng):
    yield from _attention_samples(rng, (2, 3, 5), 4, 6)


@attention_gradients.samples
def _(rng):
    for sample in _attention_samples(rng, (2, 3, 5), 4, 6):
        q, *rest = sample.args
        g, common = rng.normal(size=(*q.shape[:2], 6)), rng.normal(size=q.shape[:2])
        yield Sample(g, q, *rest, rng.random(q.shape[:2]) + 4.0, common, **sample.kwargs)


BLOCKWISE_QUERIES, BLOCKWISE_KEYS = 16, 16
"""From so many on `blockwise_attention` is used: shorter ones would fill a vector or a block in part only."""


def _takes_blocks(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> bool:
    """Whether attention is computed block by block, which shapes alone decide."""
    sizes = [query.shape[-2], *key.shape[-2:], value.shape[-1]]
    if not all(isinstance(d, int) and d > 0 for d in sizes):
        return False
    if sizes[0] < BLOCKWISE_QUERIES or sizes[1] < BLOCKWISE_KEYS:
        return False
    return mask is None or mask.dtype is dtypes.bool_ or mask.dtype is query.dtype


def _by_blocks(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: Any, causal: bool) -> Tensor:
    """`blockwise_attention` of operands whose leading axes broadcast, and of halves."""
    operands = [widen(query), widen(key), widen(value)]
    lead = [tuple(x.shape[:-2]) for x in (*operands, *(() if mask is None else (mask,)))]
    batch = broadcast_shapes("scaled_dot_product_attention", lead)
    if mask is not None:
        mask = broadcast_to(widen(mask), shape=(*batch, query.shape[-2], key.shape[-2]))
    spread = [x if tuple(x.shape[:-2]) == batch else broadcast_to(x, shape=(*batch, *x.shape[-2:])) for x in operands]
    return narrow_to(blockwise_attention(*spread, mask, scale, causal=causal)[0], query.dtype)


@function(places=("nn",))
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention of ``[*, L, E]`` over keys ``[*, S, E]`` and values ``[*, S, V]``.  Vaswani et al. (arXiv:1706.03762).

    A bool mask is true where attending is allowed, a float mask is added; a row that is forbidden
    altogether gives 0.  ``enable_gqa`` repeats each head of key and value for several of the query.
    """
    require_float("scaled_dot_product_attention", query, key, value)
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError("scaled_dot_product_attention: needs at least two axes", actual=f"{query.type}, {key.type}")
    if not query.dtype is key.dtype is value.dtype:
        raise DTypeError(
            "scaled_dot_product_attention: query, key and value must have one dtype", expected=query.type,
            actual=f"{key.type}, {value.type}",
        )  # fmt: skip
    if is_causal and attn_mask is not None:
        raise ArgumentError("scaled_dot_product_attention: give either attn_mask or is_causal")
    if scale is None:
        scale = 1.0 if dims.equal(query.shape[-1], 0) else number_of(query.shape[-1]) ** -0.5
    if enable_gqa:
        key, value = _repeated_heads(key, query), _repeated_heads(value, query)
    if is_number(dropout_p) and dropout_p == 0:
        if _takes_blocks(query, key, value, attn_mask):
            return _by_blocks(query, key, value, attn_mask, scale, bool(is_causal))
        return attention_op(query, key, value, attn_mask, scale, causal=bool(is_causal))
    weights = _weights(_scores(query, key, attn_mask, scale, bool(is_causal)), attn_mask is not None)
    return matmul(dropout(weights, dropout_p), value)


@scaled_dot_product_attention.samples
def _(rng):
    q, k, v = (rng.normal(size=s) for s in ((2, 3, 4), (2, 5, 4), (2, 5, 6)))
    yield Sample(q, k, v)
    yield Sample(q, k, v, is_causal=True, scale=0.3)
    few = rng.normal(size=(1, 2, 3, 2))
    yield Sample(rng.normal(size=(1, 4, 3, 2)), few, few, enable_gqa=True)


def _repeated_heads(x: Tensor, query: Tensor) -> Tensor:
    """``[*, H, S, E]`` with each head repeated until there are as many as in ``query``."""
    heads, wanted = x.shape[-3], query.shape[-3]
    if not dims.is_multiple(wanted, heads):
        raise ShapeError(
            "scaled_dot_product_attention: heads do not divide", expected=f"a divisor of {wanted}", actual=x.type
        )
    times = dims.floordiv(wanted, heads)
    each = reshape_to(x, shape=(*x.shape[:-2], 1, *x.shape[-2:]))
    shape = (*x.shape[:-2], times, *x.shape[-2:])
    return reshape_to(broadcast_to(each, shape=shape), shape=(*x.shape[:-3], wanted, *x.shape[-2:]))
