"""Multi-head attention: projections, heads and masks around scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from jitorch import dims, dtypes
from jitorch.errors import ArgumentError, DTypeError, ShapeError
from jitorch.ops.attention import scaled_dot_product_attention
from jitorch.ops.dropout import dropout
from jitorch.ops.helpers import filled, mean_over, number_of
from jitorch.ops.linalg import linear, matmul, swap_last
from jitorch.ops.math import where
from jitorch.ops.padding import pad_constant, part
from jitorch.ops.registry import Sample, function
from jitorch.ops.softmax import softmax_op
from jitorch.ops.structure import broadcast_to, concatenate, reshape_to, transpose_axes

Tensor = Any

NAME = "multi_head_attention_forward"


def _as_added(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """A mask that is added to scores: a bool one is true where attending is forbidden."""
    if mask is None or mask.dtype.is_floating_point:
        return mask
    if mask.dtype is not dtypes.bool_:
        raise DTypeError(f"{NAME}: masks are bool or floating point", actual=mask.type)
    return where(mask, -math.inf, filled(0, like.dtype, mask.shape))


def _projected(query: Tensor, key: Tensor, value: Tensor, weights: list[Tensor], bias: Tensor | None) -> list[Tensor]:
    size = query.shape[-1]
    biases = [None if bias is None else part(bias, 0, i * size, (i + 1) * size) for i in range(3)]
    return [linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases)]


def _heads(x: Tensor, heads: int) -> Tensor:
    """``[L, N, H * D]`` to ``[N * H, L, D]``."""
    length, batch, size = x.shape
    split = reshape_to(x, shape=(length, batch * heads, dims.floordiv(size, heads)))
    return transpose_axes(split, perm=(1, 0, 2))


def _one_more(mask: Tensor | None) -> Tensor | None:
    """A mask for one more key, which may be attended."""
    if mask is None:
        return None
    return pad_constant(mask, 0.0, low=(0,) * mask.ndim, high=(*(0,) * (mask.ndim - 1), 1))


def _merged(attn_mask: Tensor | None, padding: Tensor | None, batch: Any, heads: int) -> Tensor | None:
    """One mask ``[1 or N * H, L or 1, S]`` out of both."""
    if attn_mask is not None and attn_mask.ndim == 2:
        attn_mask = reshape_to(attn_mask, shape=(1, *attn_mask.shape))
    if padding is None:
        return attn_mask
    keys = padding.shape[-1]
    each = broadcast_to(reshape_to(padding, shape=(batch, 1, 1, keys)), shape=(batch, heads, 1, keys))
    padding = reshape_to(each, shape=(batch * heads, 1, keys))
    return padding if attn_mask is None else attn_mask + padding


def _check(query: Tensor, key: Tensor, value: Tensor, embed_dim: int, heads: int) -> None:
    if query.ndim not in (2, 3) or key.ndim != query.ndim or value.ndim != query.ndim:
        raise ShapeError(
            f"{NAME}: query, key and value are [L, N, E], or [L, E] without a batch",
            actual=f"{query.type}, {key.type}, {value.type}",
        )
    if not dims.equal(query.shape[-1], embed_dim) or not dims.is_multiple(embed_dim, heads):
        raise ShapeError(
            f"{NAME}: the embedding does not fit", expected=f"size {embed_dim}, a multiple of {heads} heads",
            actual=query.type,
        )  # fmt: skip
    if not dims.equal(key.shape[0], value.shape[0]):
        raise ShapeError(f"{NAME}: as many values as keys", expected=key.type, actual=value.type)


@function(places=("nn",))
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention in ``num_heads`` subspaces of ``[L, N, E]``; see `torch.nn.MultiheadAttention` for the arguments.

    Returns the output ``[L, N, E]`` and, with ``need_weights``, the weights ``[N, L, S]`` (per head
    ``[N, H, L, S]`` without ``average_attn_weights``).  ``key_padding_mask`` and a bool ``attn_mask``
    are true where attending is forbidden.
    """
    _check(query, key, value, embed_dim_to_check, num_heads)
    if is_causal and attn_mask is None:
        raise ArgumentError(f"{NAME}: is_causal is a hint that needs attn_mask")
    batched = query.ndim == 3
    if not batched:
        query, key, value = (reshape_to(x, shape=(x.shape[0], 1, x.shape[1])) for x in (query, key, value))
        if key_padding_mask is not None:
            key_padding_mask = reshape_to(key_padding_mask, shape=(1, *key_padding_mask.shape))
    length, batch, size = query.shape
    causal = is_causal and key_padding_mask is None and not need_weights
    attn_mask = None if causal else _as_added(attn_mask, query)
    padding = _as_added(key_padding_mask, query)
    if use_separate_proj_weight:
        weights = [q_proj_weight, k_proj_weight, v_proj_weight]
    elif in_proj_weight is None:
        raise ArgumentError(f"{NAME}: in_proj_weight is missing")
    else:
        weights = [part(in_proj_weight, 0, i * size, (i + 1) * size) for i in range(3)]
    q, k, v = _projected(query, key, value, weights, in_proj_bias)
    if bias_k is not None and bias_v is not None:
        more = (broadcast_to(b, shape=(1, batch, b.shape[-1])) for b in (bias_k, bias_v))
        k, v = (concatenate([x, b], axis=0) for x, b in zip((k, v), more))
        attn_mask, padding = _one_more(attn_mask), _one_more(padding)
    q = _heads(q, num_heads)
    k = _heads(k, num_heads) if static_k is None else static_k
    v = _heads(v, num_heads) if static_v is None else static_v
    if add_zero_attn:
        k, v = (pad_constant(x, 0.0, low=(0, 0, 0), high=(0, 1, 0)) for x in (k, v))
        attn_mask, padding = _one_more(attn_mask), _one_more(padding)
    mask = _merged(attn_mask, padding, batch, num_heads)
    p = dropout_p if training else 0.0
    keys = k.shape[1]
    if need_weights:
        scores = matmul(q * number_of(q.shape[-1]) ** -0.5, swap_last(k))
        shares = softmax_op(scores if mask is None else scores + mask, axis=2)
        shares = dropout(shares, p) if training else shares
        out = matmul(shares, v)
    else:
        shares = None
        out = _without_weights(q, k, v, mask, p, causal, batch, num_heads)
    out = reshape_to(transpose_axes(out, perm=(1, 0, 2)), shape=(length, batch, size))
    out = linear(out, out_proj_weight, out_proj_bias)
    if not batched:
        out = reshape_to(out, shape=(length, out.shape[2]))
    if shares is None:
        return out, None
    shares = reshape_to(shares, shape=(batch, num_heads, length, keys))
    if average_attn_weights:
        shares = reshape_to(mean_over(shares, (1,)), shape=(batch, length, keys))
    return out, shares if batched else reshape_to(shares, shape=tuple(shares.shape[1:]))


def _without_weights(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: Any, causal: bool, batch: Any, heads: int
) -> Tensor:
    if mask is not None:
        lead = (1, 1) if dims.equal(mask.shape[0], 1) else (batch, heads)
        mask = reshape_to(mask, shape=(*lead, *mask.shape[1:]))
    split = [reshape_to(x, shape=(batch, heads, *x.shape[1:])) for x in (q, k, v)]
    out = scaled_dot_product_attention(*split, mask, p, causal)
    return reshape_to(out, shape=(batch * heads, *out.shape[2:]))


@multi_head_attention_forward.samples
def _(rng):
    x, y = rng.normal(size=(3, 2, 4)), rng.normal(size=(5, 2, 4))
    rest = (rng.normal(size=(12, 4)), rng.normal(size=(12,)))
    out = (rng.normal(size=(4, 4)), rng.normal(size=(4,)))
    yield Sample(x, x, x, 4, 2, *rest, None, None, False, 0.0, *out, need_weights=False)
    yield Sample(x, y, y, 4, 2, *rest, rng.normal(size=(1, 1, 4)), rng.normal(size=(1, 1, 4)), True, 0.0, *out)
