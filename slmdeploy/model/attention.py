"""Attention over a cache of its own, in plain torch: the reference on the host."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.decoder import Decoder

__all__ = ["EagerAttention", "step_logits"]


class EagerAttention:
    """Keys and values of all layers, float32 [kv_heads, capacity, head_dim] each."""

    def __init__(self, config: DecoderConfig, capacity: int) -> None:
        self.config = config
        self.position = 0
        shape = (config.layers, config.kv_heads, capacity, config.head_dim)
        self.keys = torch.zeros(shape)
        self.values = torch.zeros(shape)

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Write, then attend; see ``Attention``."""
        length, start = query.shape[0], self.position
        end = start + length
        self.keys[layer, :, start:end] = key.transpose(0, 1)
        self.values[layer, :, start:end] = value.transpose(0, 1)
        places = torch.arange(end)
        before = torch.arange(start, end)[:, None] - places
        window = self.config.window(layer, end)
        seen = (before >= 0) if window is None else (before >= 0) & (before < window)
        attended = _attend(
            query.transpose(0, 1),
            self.keys[layer, :, :end],
            self.values[layer, :, :end],
            torch.where(seen, 0.0, -torch.inf),
            self.config.attention_cap,
        )
        return attended.transpose(0, 1).reshape(length, -1)


def _attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, cap: float | None) -> Tensor:
    """Attention over places [heads, S, head_dim]; each key serves a group of heads."""
    group = query.shape[0] // keys.shape[0]
    if cap is None:
        attended = functional.scaled_dot_product_attention(
            query[None], keys[None], values[None], attn_mask=mask, enable_gqa=group > 1
        )
        return attended[0]
    keys, values = (part.repeat_interleave(group, dim=0) for part in (keys, values))
    scores = query @ keys.transpose(1, 2) / math.sqrt(query.shape[-1])
    return torch.softmax(torch.tanh(scores / cap) * cap + mask, dim=-1) @ values


@torch.no_grad()
def step_logits(decoder: Decoder, prompt: Tensor, continuation: Tensor) -> Tensor:
    """Logits of a prompt in one chunk, then of given tokens one by one.

    Args:
        decoder: The decoder; its tables must cover all positions.
        prompt: int64 [P], at least one token.
        continuation: int64 [T].

    Returns:
        float32 [T + 1, vocabulary]: the row after the prompt, then one after each
        token of the continuation.
    """
    attention = EagerAttention(decoder.config, len(prompt) + len(continuation))
    rows = [decoder(prompt[None], 0, attention)]
    attention.position = len(prompt)
    for token in continuation:
        rows.append(decoder(token.view(1, 1), attention.position, attention))
        attention.position += 1
    return torch.cat(rows)
