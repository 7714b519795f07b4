"""Attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import ArgumentError, DTypeError, ShapeError
from jitorch.ops.dropout import dropout
from jitorch.ops.helpers import kept, narrow_to, number_of, ramp, require_float, widen
from jitorch.ops.linalg import matmul, swap_last
from jitorch.ops.math import where
from jitorch.ops.normalize import is_number
from jitorch.ops.reduce import reduce_max
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.softmax import softmax_op
from jitorch.ops.structure import broadcast_to, reshape_to

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


@op(name="scaled_dot_product_attention", places=())
def attention_op(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, *, causal: bool
) -> Tensor:
    """``softmax(query @ key.mT * scale + mask) @ value``; ``causal`` lets row i see columns up to i."""
    scores = _scores(widen(query), widen(key), mask, scale, causal)
    return narrow_to(matmul(_weights(scores, mask is not None), widen(value)), query.dtype)


@attention_op.samples
def _(rng):
    q, k, v = (rng.normal(size=s) for s in ((2, 3, 4), (2, 5, 4), (2, 5, 6)))
    yield Sample(q, k, v, None, 0.5, causal=False)
    yield Sample(q, k, v, rng.normal(size=(3, 5)), 0.5, causal=False)
    yield Sample(q, k, v, np.array([[1, 0, 1, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 0, 0]], bool), 0.5, causal=False)
    yield Sample(q, k, v, None, 0.5, causal=True)


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
