"""Masks of attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch.errors import ArgumentError, DTypeError, ShapeError
from jitorch.nn import functional as F


def qkv(lib: Any, *lead: int) -> list[Any]:
    rng = np.random.default_rng(0)
    return [lib.tensor(rng.normal(size=(*lead, n, 4))) for n in (3, 5, 5)]


def test_a_forbidden_row_gives_zeros_and_no_gradient() -> None:
    q, k, v = (x.requires_grad_() for x in qkv(jitorch))
    mask = jitorch.ones(3, 5, dtype=jitorch.bool)
    mask[1] = False
    out = F.scaled_dot_product_attention(q, k, v, mask)
    out.sum().backward()
    assert jitorch.equal(out[1], jitorch.zeros(4, dtype=jitorch.float64))
    assert jitorch.equal(q.grad[1], jitorch.zeros(4, dtype=jitorch.float64))
    assert all(x.grad.isfinite().all() for x in (q, k, v))


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_masks(lead: tuple[int, ...]) -> None:
    for options in ({}, {"is_causal": True}, {"scale": 0.1}):
        out = F.scaled_dot_product_attention(*qkv(jitorch, *lead), **options)
        expected = torch.nn.functional.scaled_dot_product_attention(*qkv(torch, *lead), **options)
        np.testing.assert_allclose(out.numpy(), expected.numpy(), atol=1e-12)


def test_causal_row_ignores_what_comes_later() -> None:
    q, k, v = qkv(jitorch)
    before = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    v[2:] = 1e6
    after = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert jitorch.equal(before[:2], after[:2])


def test_dropout_of_weights() -> None:
    jitorch.manual_seed(0)
    q, k, v = qkv(jitorch)
    assert jitorch.equal(
        F.scaled_dot_product_attention(q, k, v, dropout_p=1.0), jitorch.zeros(3, 4, dtype=jitorch.float64)
    )


@pytest.mark.parametrize("masks", ["none", "bool", "float", "padding", "both", "each"])
@pytest.mark.parametrize("need_weights", [False, True])
def test_multi_head(masks: str, need_weights: bool) -> None:
    rng = np.random.default_rng(0)
    query, key = rng.normal(size=(3, 2, 8)), rng.normal(size=(5, 2, 8))
    weights = [rng.normal(size=s) for s in ((24, 8), (24,), (8, 8), (8,))]
    allowed = rng.random((3, 5)) > 0.5
    allowed[:, 0] = False
    attn: Any = {"bool": allowed, "both": allowed, "float": rng.normal(size=(3, 5))}.get(masks)
    if masks == "each":
        attn = rng.normal(size=(4, 3, 5))
    padding = np.array([[False] * 5, [False, False, False, True, True]]) if masks in ("padding", "both") else None

    def run(lib: Any, function: Any) -> Any:
        w_in, b_in, w_out, b_out = map(lib.tensor, weights)
        options = {"attn_mask": attn, "key_padding_mask": padding}
        given = {name: None if m is None else lib.tensor(m) for name, m in options.items()}
        return function(
            lib.tensor(query), lib.tensor(key), lib.tensor(key), 8, 2, w_in, b_in, None, None, False, 0.0, w_out,
            b_out, need_weights=need_weights, **given,
        )  # fmt: skip

    out, shares = run(jitorch, F.multi_head_attention_forward)
    expected, expected_shares = run(torch, torch.nn.functional.multi_head_attention_forward)
    np.testing.assert_allclose(out.numpy(), expected.numpy(), atol=1e-9)
    assert (shares is None) == (expected_shares is None)
    if shares is not None:
        np.testing.assert_allclose(shares.numpy(), expected_shares.numpy(), atol=1e-9)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ShapeError, lambda q, k, v: F.scaled_dot_product_attention(q[0], k, v)),
        (DTypeError, lambda q, k, v: F.scaled_dot_product_attention(q, k.float(), v)),
        (ArgumentError, lambda q, k, v: F.scaled_dot_product_attention(q, k, v, jitorch.ones(3, 5), is_causal=True)),
        (ShapeError, lambda q, k, v: F.scaled_dot_product_attention(q, k[:, :2], v)),
    ],
)
def test_refused(error: Any, call: Any) -> None:
    with pytest.raises(error):
        call(*qkv(jitorch))


@pytest.mark.parametrize("learned", [False, True])
def test_a_float_mask_has_a_gradient_where_it_is_wanted(learned: bool) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, n, 4)) for n in (20, 24, 24)] + [rng.normal(size=(20, 24))]

    def gradients(lib: Any, attention: Any) -> list[Any]:
        tensors = [lib.tensor(x, requires_grad=i < 3 or learned) for i, x in enumerate(arrays)]
        attention(*tensors).sin().sum().backward()
        return [t.grad for t in tensors]

    found = gradients(jitorch, F.scaled_dot_product_attention)
    expected = gradients(torch, torch.nn.functional.scaled_dot_product_attention)
    assert (found[3] is None) is not learned
    for a, b in zip(found, expected):
        if b is not None:
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-9)
