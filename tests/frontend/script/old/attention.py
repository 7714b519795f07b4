"""Attention with masks and caches, written as TorchScript programs of their time are."""

import math
from typing import Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiheadAttention(nn.Module):
    """Attention Is All You Need (Vaswani et al., 2017), with a state for decoding step by step."""

    def __init__(self, embed_dim: int = 4, num_heads: int = 2, self_attention: bool = True):
        super().__init__()
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        assert self.head_dim * num_heads == self.embed_dim, "embed_dim must be divisible by num_heads"
        self.scaling = self.head_dim**-0.5
        self.self_attention = self_attention
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.k_proj = nn.Linear(embed_dim, embed_dim)
        self.v_proj = nn.Linear(embed_dim, embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def _shape(self, tensor: Tensor, seq_len: int, bsz: int) -> Tensor:
        return tensor.contiguous().view(seq_len, bsz * self.num_heads, self.head_dim).transpose(0, 1)

    def _get_input_buffer(
        self, incremental_state: Optional[Dict[str, Dict[str, Optional[Tensor]]]]
    ) -> Dict[str, Optional[Tensor]]:
        if incremental_state is not None and "attn" in incremental_state:
            return incremental_state["attn"]
        else:
            empty_result: Dict[str, Optional[Tensor]] = {}
            return empty_result

    def forward(
        self,
        query,
        key: Optional[Tensor],
        key_padding_mask: Optional[Tensor] = None,
        incremental_state: Optional[Dict[str, Dict[str, Optional[Tensor]]]] = None,
        need_weights: bool = True,
        attn_mask: Optional[Tensor] = None,
    ) -> Tuple[Tensor, Optional[Tensor]]:
        tgt_len, bsz, embed_dim = query.size()
        assert embed_dim == self.embed_dim, f"query dim {embed_dim} != {self.embed_dim}"
        assert list(query.size()) == [tgt_len, bsz, embed_dim]
        q = self.q_proj(query) * self.scaling
        if self.self_attention:
            k, v = self.k_proj(query), self.v_proj(query)
        else:
            assert key is not None
            k, v = self.k_proj(key), self.v_proj(key)
        q = self._shape(q, tgt_len, bsz)
        k = self._shape(k, k.size(0), bsz)
        v = self._shape(v, v.size(0), bsz)
        if incremental_state is not None:
            saved_state = self._get_input_buffer(incremental_state)
            if "prev_key" in saved_state:
                _prev_key = saved_state["prev_key"]
                assert _prev_key is not None
                prev_key = _prev_key.view(bsz * self.num_heads, -1, self.head_dim)
                k = torch.cat([prev_key, k], dim=1)
            if "prev_value" in saved_state:
                _prev_value = saved_state["prev_value"]
                assert _prev_value is not None
                v = torch.cat([_prev_value.view(bsz * self.num_heads, -1, self.head_dim), v], dim=1)
            saved_state["prev_key"] = k.view(bsz, self.num_heads, -1, self.head_dim)
            saved_state["prev_value"] = v.view(bsz, self.num_heads, -1, self.head_dim)
            incremental_state["attn"] = saved_state
        src_len = k.size(1)
        attn_weights = torch.bmm(q, k.transpose(1, 2))
        assert list(attn_weights.size()) == [bsz * self.num_heads, tgt_len, src_len]
        if attn_mask is not None:
            attn_mask = attn_mask.unsqueeze(0)
            attn_weights += attn_mask
        if key_padding_mask is not None:
            attn_weights = attn_weights.view(bsz, self.num_heads, tgt_len, src_len)
            attn_weights = attn_weights.masked_fill(
                key_padding_mask.unsqueeze(1).unsqueeze(2).to(torch.bool), float("-inf")
            )
            attn_weights = attn_weights.view(bsz * self.num_heads, tgt_len, src_len)
        attn_probs = F.softmax(attn_weights, dim=-1)
        attn = torch.bmm(attn_probs, v)
        attn = attn.transpose(0, 1).contiguous().view(tgt_len, bsz, embed_dim)
        attn = self.out_proj(attn)
        weights: Optional[Tensor] = None
        if need_weights:
            weights = attn_probs.view(bsz, self.num_heads, tgt_len, src_len).mean(dim=1)
        return attn, weights


class StepByStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = MultiheadAttention()

    def forward(self, x: Tensor) -> Tensor:
        state = torch.jit.annotate(Dict[str, Dict[str, Optional[Tensor]]], {})
        outs: List[Tensor] = []
        for t in range(x.size(0)):
            out, _ = self.attention(x[t : t + 1], None, None, state, False)
            outs.append(out)
        return torch.cat(outs)


class EncoderLayer(nn.Module):
    def __init__(self, normalize_before: bool):
        super().__init__()
        self.self_attn = MultiheadAttention()
        self.norm1, self.norm2 = nn.LayerNorm(4), nn.LayerNorm(4)
        self.fc1, self.fc2 = nn.Linear(4, 6), nn.Linear(6, 4)
        self.activation_fn = F.relu
        self.normalize_before = normalize_before

    def residual(self, x: Tensor, residual: Tensor) -> Tensor:
        return residual + x

    def forward(self, x, padding_mask: Optional[Tensor], attn_mask: Optional[Tensor] = None):
        residual = x
        if self.normalize_before:
            x = self.norm1(x)
        x, _ = self.self_attn(query=x, key=x, key_padding_mask=padding_mask, attn_mask=attn_mask)
        x = self.residual(x, residual)
        if not self.normalize_before:
            x = self.norm1(x)
        residual = x
        x = self.fc2(self.activation_fn(self.fc1(x)))
        return self.norm2(self.residual(x, residual))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(6, 4, padding_idx=0)
        self.layers = nn.ModuleList([EncoderLayer(False), EncoderLayer(True)])
        self.padding_idx = 0
        self.num_layers = len(self.layers)

    def positions(self, length: int) -> Tensor:
        half = 2
        emb = math.log(10000) / (half - 1)
        emb = torch.exp(torch.arange(half, dtype=torch.float) * -emb)
        emb = torch.arange(length, dtype=torch.float).unsqueeze(1) * emb.unsqueeze(0)
        return torch.cat([torch.sin(emb), torch.cos(emb)], dim=1).view(length, -1)

    def forward(self, tokens: Tensor, return_all: bool = False) -> Dict[str, List[Tensor]]:
        mask = tokens.eq(self.padding_idx)
        has_pads = bool(mask.any())
        x = self.embed(tokens) + self.positions(tokens.size(1))
        if has_pads:
            x = x * (1 - mask.unsqueeze(-1).type_as(x))
        x = x.transpose(0, 1)
        states: List[Tensor] = []
        if return_all:
            states.append(x)
        for layer in self.layers:
            x = layer(x, padding_mask=mask if has_pads else None)
            if return_all:
                assert states is not None
                states.append(x)
        return {"out": [x], "mask": [mask], "states": states}


def relative_position_bucket(
    relative_position, bidirectional: bool = True, num_buckets: int = 8, max_distance: int = 16
):
    """The buckets of T5 (Raffel et al., 2020)."""
    buckets = torch.zeros_like(relative_position)
    if bidirectional:
        num_buckets = num_buckets // 2
        buckets += (relative_position > 0).to(torch.long) * num_buckets
        relative_position = torch.abs(relative_position)
    else:
        relative_position = -torch.min(relative_position, torch.zeros_like(relative_position))
    max_exact = num_buckets // 2
    is_small = relative_position < max_exact
    large = max_exact + (
        torch.log(relative_position.float() / max_exact + 1e-6)
        / math.log(max_distance / max_exact)
        * (num_buckets - max_exact)
    ).to(torch.long)
    large = torch.min(large, torch.full_like(large, num_buckets - 1))
    buckets += torch.where(is_small, relative_position, large)
    return buckets


@torch.jit.script
def rotate_half(x: Tensor) -> Tensor:
    x1, x2 = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)


class Rotary(nn.Module):
    """RoFormer (Su et al., 2021), with tables that grow."""

    def __init__(self):
        super().__init__()
        self.register_buffer("inv_freq", 1.0 / (100 ** (torch.arange(0, 4, 2).float() / 4)))
        self.seq_len_cached = 0
        self.cos_cached = torch.empty(0)
        self.sin_cached = torch.empty(0)

    def forward(self, q: Tensor, k: Tensor) -> Tuple[Tensor, Tensor]:
        seq_len = q.shape[0]
        if seq_len > self.seq_len_cached:
            self.seq_len_cached = seq_len
            t = torch.arange(seq_len, device=q.device).type_as(self.inv_freq)
            freqs = t[:, None] * self.inv_freq[None, :]
            emb = torch.cat((freqs, freqs), dim=-1)
            self.cos_cached = emb.cos()
            self.sin_cached = emb.sin()
        cos, sin = self.cos_cached[:seq_len], self.sin_cached[:seq_len]
        return (q * cos) + (rotate_half(q) * sin), (k * cos) + (rotate_half(k) * sin)
