"""The one decoder: a Llama-like transformer written to be exported.

All families go through this module, told apart by ``DecoderConfig`` alone. It differs
from a textbook implementation where exporters need it to:

* It is a chain of *stages* with one attention between each two (``stages``). Whatever
  holds the KV cache stands outside, behind ``Attention``; each exporter brings its own.
  All stages of a kind have one graph, so an exporter can lower one and reuse it.
* Query, key and value are one projection, gate and up are another, and the rotation is
  applied to queries and keys at once: fewer nodes to lower, the same arithmetic.
* The mean of squares in RMSNorm is a product with a constant vector, since delegates
  take a matrix product everywhere and a mean over the last dimension nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.rope import rope_tables

__all__ = [
    "Attention",
    "Decoder",
    "FirstStage",
    "LastStage",
    "Layer",
    "MiddleStage",
    "RMSNorm",
    "rotate",
]


class Attention(Protocol):
    """Holds the KV cache, writes to it and attends over it."""

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Write ``key`` and ``value`` at the current position, then attend.

        Args:
            layer: Index of the layer.
            query: Rotated, float32 [S, heads, head_dim].
            key: Rotated, float32 [S, kv_heads, head_dim].
            value: float32 [S, kv_heads, head_dim].

        Returns:
            float32 [S, heads * head_dim].
        """


class RMSNorm(nn.Module):
    """Root mean square normalization (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    mean: Tensor

    def __init__(self, size: int, eps: float, groups: int | None = None) -> None:
        super().__init__()
        self.eps = eps
        shape = (size,) if groups is None else (groups, size)
        self.weight = nn.Parameter(torch.ones(shape), requires_grad=False)
        self.register_buffer("mean", torch.full((1, size), 1.0 / size), persistent=False)

    def average(self, x: Tensor) -> Tensor:
        """Mean over the last dimension, which stays with size 1."""
        return functional.linear(x, self.mean)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last dimension of ``x``."""
        return x * torch.rsqrt(self.average(x * x) + self.eps) * self.weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding, halves convention (Su et al. 2021, arXiv 2104.09864).

    Args:
        x: [S, heads, head_dim].
        cos: [S, 1, head_dim], each half the same.
        sin: As ``cos``.
    """
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cos + turned * sin


class Layer(nn.Module):
    """The weights of one layer, and its halves before and after the attention."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        hidden, heads = config.hidden_size, config.heads + config.kv_heads
        width = (heads + config.kv_heads) * config.head_dim
        self.attention_norm = RMSNorm(hidden, config.norm_eps)
        self.qkv = nn.Linear(hidden, width, bias=config.qkv_bias)
        self.qk_norm = RMSNorm(config.head_dim, config.norm_eps, heads) if config.qk_norm else None
        self.o = nn.Linear(config.heads * config.head_dim, hidden, bias=False)
        self.mlp_norm = RMSNorm(hidden, config.norm_eps)
        self.gate_up = nn.Linear(hidden, 2 * config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, hidden, bias=False)

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated query and key, and value, of hidden states [S, hidden]."""
        config, length = self.config, x.shape[0]
        split = (config.heads + config.kv_heads) * config.head_dim
        projected = self.qkv(self.attention_norm(x))
        turning = projected[:, :split].view(length, -1, config.head_dim)
        if self.qk_norm is not None:
            turning = self.qk_norm(turning)
        turned = rotate(turning, cos, sin)
        value = projected[:, split:].view(length, config.kv_heads, config.head_dim)
        return turned[:, : config.heads], turned[:, config.heads :], value

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Hidden states after the attention's output and the feed-forward part."""
        x = x + self.o(attended)
        # Slices, because delegates take them and not a split.
        both, size = self.gate_up(self.mlp_norm(x)), self.config.intermediate_size
        out: Tensor = x + self.down(functional.silu(both[:, :size]) * both[:, size:])
        return out


class FirstStage(nn.Module):
    """From the embedding to the first layer's attention."""

    def __init__(self, following: Layer) -> None:
        super().__init__()
        self.following = following

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(x, cos, sin) to (query, key, value)."""
        return self.following.project(x, cos, sin)


class MiddleStage(nn.Module):
    """From one layer's attention to the next one's."""

    def __init__(self, layer: Layer, following: Layer) -> None:
        super().__init__()
        self.layer = layer
        self.following = following

    def forward(
        self, x: Tensor, attended: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(x, attended, cos, sin) to (x, query, key, value)."""
        x = self.layer.finish(x, attended)
        return (x, *self.following.project(x, cos, sin))


class LastStage(nn.Module):
    """From the last layer's attention to the logits."""

    def __init__(self, layer: Layer, norm: RMSNorm, head: nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        self.norm = norm
        self.head = head

    def forward(self, x: Tensor, attended: Tensor) -> Tensor:
        """(x, attended), both [rows, ...], to logits [rows, vocabulary]."""
        logits: Tensor = self.head(self.norm(self.layer.finish(x, attended)))
        return logits


class Decoder(nn.Module):
    """The whole decoder.

    Args:
        config: What the model is.
        positions: Positions that the rotary tables cover.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: DecoderConfig, positions: int) -> None:
        super().__init__()
        self.config = config
        self.positions = positions
        self.embedding: nn.Module = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([Layer(config) for _ in range(config.layers)])
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.register_buffer("cos", torch.empty(0), persistent=False)
        self.register_buffer("sin", torch.empty(0), persistent=False)
        self.compute_constants()

    def compute_constants(self) -> None:
        """Compute what is not loaded; needed again after building on the meta device."""
        self.cos, self.sin = rope_tables(self.config, self.positions)
        for module in self.modules():
            if isinstance(module, RMSNorm):
                size = module.mean.shape[1]
                module.mean = torch.full((1, size), 1.0 / size, device="cpu")

    def layer_list(self) -> list[Layer]:
        """The layers, with their type."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def stages(self) -> Iterator[FirstStage | MiddleStage | LastStage]:
        """The stages in order: one more than there are layers."""
        layers = self.layer_list()
        yield FirstStage(layers[0])
        for layer, following in pairwise(layers):
            yield MiddleStage(layer, following)
        yield LastStage(layers[-1], self.norm, self.head)

    def forward(
        self, tokens: Tensor, position: int, attention: Attention, *, last_only: bool = True
    ) -> Tensor:
        """Logits of a chunk of tokens.

        Args:
            tokens: int64 [1, S].
            position: Position of the first of them.
            attention: Holds what came before.
            last_only: Give the last token's logits alone.

        Returns:
            float32 [1 or S, vocabulary].
        """
        x: Tensor = self.embedding(tokens)[0]
        cos = self.cos[position : position + tokens.shape[1]]
        sin = self.sin[position : position + tokens.shape[1]]
        first, *middle, last = self.stages()
        query, key, value = first(x, cos, sin)
        for layer, stage in enumerate(middle):
            attended = attention(layer, query, key, value)
            x, query, key, value = stage(x, attended, cos, sin)
        attended = attention(len(middle), query, key, value)
        rows = slice(-1, None) if last_only else slice(None)
        logits: Tensor = last(x[rows], attended[rows])
        return logits
