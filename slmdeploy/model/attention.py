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
        seen = torch.ones(length, end, dtype=torch.bool).tril(diagonal=start)
        attended = functional.scaled_dot_product_attention(
            query.transpose(0, 1)[None],
            self.keys[None, layer, :, :end],
            self.values[None, layer, :, :end],
            attn_mask=seen,
            scale=1 / math.sqrt(self.config.head_dim),
            enable_gqa=self.config.kv_heads != self.config.heads,
        )
        return attended[0].transpose(0, 1).reshape(length, -1)


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
