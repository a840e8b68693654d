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
* What a family multiplies or adds by a constant is in the weights already (``folding``).
"""

from __future__ import annotations

import math
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
    "LayerNorm",
    "MiddleStage",
    "RMSNorm",
    "gelu_tanh",
    "rotate",
]

_SLOPE, _BEND = 2 * math.sqrt(2 / math.pi), 2 * math.sqrt(2 / math.pi) * 0.044715


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


class LayerNorm(nn.Module):
    """Layer normalization (Ba et al. 2016, arXiv 1607.06450): RMSNorm of what has mean 0."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.centered = RMSNorm(size, eps)
        self.bias = nn.Parameter(torch.zeros(size), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last dimension of ``x``."""
        result: Tensor = self.centered(x - self.centered.average(x)) + self.bias
        return result


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by its tanh approximation (Hendrycks and Gimpel 2016, arXiv 1606.08415).

    Of a tanh halved and moved up by a half there remains a sigmoid, which all delegates have.
    """
    return x * torch.sigmoid(x * (_SLOPE + _BEND * (x * x)))


def rotate(x: Tensor, cos: Tensor, sin: Tensor, size: int | None = None) -> Tensor:
    """Rotary position embedding, halves convention (Su et al. 2021, arXiv 2104.09864).

    Args:
        x: [S, heads, head_dim].
        cos: [S, 1, head_dim], each half the same; 1 where nothing is rotated.
        sin: As ``cos``; 0 where nothing is rotated.
        size: Dimensions that are rotated, the first ones; ``None`` for all.
    """
    size = x.shape[-1] if size is None else size
    half = size // 2
    parts = [-x[..., half:size], x[..., :half]]
    if size < x.shape[-1]:
        parts.append(x[..., size:])
    turned = torch.cat(parts, dim=-1)
    return x * cos + turned * sin


def _norm(config: DecoderConfig, size: int) -> nn.Module:
    kind = RMSNorm if config.norm == "rms" else LayerNorm
    return kind(size, config.norm_eps)


class Layer(nn.Module):
    """The weights of one layer, and its halves before and after the attention.

    Args:
        config: What the model is.
        rope: Which rotary table it has; ``None`` for no rotation.
    """

    def __init__(self, config: DecoderConfig, rope: int | None = 0) -> None:
        super().__init__()
        self.config, self.rope = config, rope
        hidden, size = config.hidden_size, config.head_dim
        self.query_width, self.key_width = config.heads * size, config.kv_heads * size
        width = self.query_width + 2 * self.key_width
        self.attention_norm = _norm(config, hidden) if config.pre_norm else None
        self.qkv = nn.Linear(hidden, width, bias=config.qkv_bias)
        self.qk_norm: RMSNorm | None = None
        self.q_norm: RMSNorm | None = None
        self.k_norm: RMSNorm | None = None
        if config.qk_norm and config.qk_norm_over == "head":
            self.qk_norm = RMSNorm(size, config.norm_eps, config.heads + config.kv_heads)
        elif config.qk_norm:
            self.q_norm = RMSNorm(self.query_width, config.norm_eps)
            self.k_norm = RMSNorm(self.key_width, config.norm_eps)
        self.o = nn.Linear(self.query_width, hidden, bias=False)
        self.post_attention_norm = _norm(config, hidden) if config.post_norm else None
        self.mlp_norm = _norm(config, hidden) if config.pre_norm else None
        self.gate_up = nn.Linear(hidden, 2 * config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, hidden, bias=False)
        self.post_mlp_norm = _norm(config, hidden) if config.post_norm else None

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated query and key, and value, of hidden states [S, hidden]."""
        config, length = self.config, x.shape[0]
        split = self.query_width + self.key_width
        projected = self.qkv(x if self.attention_norm is None else self.attention_norm(x))
        turned = self._turned(projected[:, :split], cos, sin)
        value = projected[:, split:].view(length, config.kv_heads, config.head_dim)
        return turned[:, : config.heads], turned[:, config.heads :], value

    def _turned(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Queries and keys normalized and rotated, [S, heads + kv_heads, head_dim]."""
        config, length = self.config, x.shape[0]
        if self.q_norm is not None and self.k_norm is not None:
            both = self.q_norm(x[:, : self.query_width]), self.k_norm(x[:, self.query_width :])
            x = torch.cat(both, dim=-1)
        heads = x.view(length, -1, config.head_dim)
        if self.qk_norm is not None:
            heads = self.qk_norm(heads)
        if self.rope is None:
            return heads
        if config.local_rope is not None:
            cos, sin = (table[:, self.rope : self.rope + 1] for table in (cos, sin))
        return rotate(heads, cos, sin, config.rotary_dim)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Hidden states after the attention's output and the feed-forward part."""
        given = self.o(attended)
        if self.post_attention_norm is not None:
            given = self.post_attention_norm(given)
        x = x + given
        given = self._feed_forward(x if self.mlp_norm is None else self.mlp_norm(x))
        if self.post_mlp_norm is not None:
            given = self.post_mlp_norm(given)
        out: Tensor = x + given
        return out

    def _feed_forward(self, x: Tensor) -> Tensor:
        # Slices, because delegates take them and not a split.
        both, size = self.gate_up(x), self.config.intermediate_size
        activate = functional.silu if self.config.activation == "silu" else gelu_tanh
        given: Tensor = self.down(activate(both[:, :size]) * both[:, size:])
        return given


class FirstStage(nn.Module):
    """From the embedding to the first layer's attention.

    Attributes:
        variant: Stages of one class with another one have another graph.
    """

    def __init__(self, following: Layer) -> None:
        super().__init__()
        self.following = following
        self.variant = following.rope

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(x, cos, sin) to (query, key, value)."""
        return self.following.project(x, cos, sin)


class MiddleStage(nn.Module):
    """From one layer's attention to the next one's.

    Attributes:
        variant: As of ``FirstStage``.
    """

    def __init__(self, layer: Layer, following: Layer) -> None:
        super().__init__()
        self.layer = layer
        self.following = following
        self.variant = following.rope

    def forward(
        self, x: Tensor, attended: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(x, attended, cos, sin) to (x, query, key, value)."""
        x = self.layer.finish(x, attended)
        return (x, *self.following.project(x, cos, sin))


class LastStage(nn.Module):
    """From the last layer's attention to the logits.

    Attributes:
        variant: As of ``FirstStage``.
    """

    def __init__(self, layer: Layer, norm: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        self.norm = norm
        self.head = head
        self.variant: int | None = None

    def forward(self, x: Tensor, attended: Tensor) -> Tensor:
        """(x, attended), both [rows, ...], to logits [rows, vocabulary]."""
        logits: Tensor = self.head(self.norm(self.layer.finish(x, attended)))
        cap = self.layer.config.logits_cap
        # The norm's weights are divided by the cap already.
        return logits if cap is None else torch.tanh(logits) * cap


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
        self.layers = nn.ModuleList(
            [Layer(config, config.rope(number)) for number in range(config.layers)]
        )
        self.norm = _norm(config, config.hidden_size)
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
