"""A causal model of ``transformers`` as a step of a runner, over a cache of fixed size.

The cache is ``transformers``' static one, with two differences that an exported graph needs: its
tensors are buffers of the step, so that several methods can share them, and each call says at
which position it writes. This module imports torch and ``transformers``.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, StaticLayer

__all__ = ["CacheShape", "ForeignStep", "cache_shapes", "step_rows"]


@dataclass(frozen=True)
class CacheShape:
    """Heads and sizes of a layer's keys and values."""

    heads: int
    key_size: int
    value_size: int


class _Layer(StaticLayer):  # type: ignore[misc]
    """A layer of a static cache that writes at given positions, whatever was written before."""

    def __init__(self, keys: Tensor, values: Tensor, positions: Tensor, start: Tensor) -> None:
        super().__init__(max_cache_len=keys.shape[2])
        self.keys, self.values = keys, values
        self.dtype, self.device = keys.dtype, keys.device
        self.positions, self.start = positions, start
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Write, and give all of the cache: what lies ahead is masked."""
        # An assignment would take the dimension of 1 off the values, which runtimes then lack.
        write, place = torch.ops.aten.index_put_.default, [None, None, self.positions]
        write(self.keys, place, key_states)
        write(self.values, place, value_states)
        return self.keys, self.values

    def get_seq_length(self) -> Tensor:
        """The first position of the call."""
        return self.start


@torch.no_grad()
def cache_shapes(model: nn.Module) -> tuple[CacheShape, ...]:
    """Shapes of a model's cache, by a run over one token.

    Raises:
        ValueError: A layer keeps anything but keys and values.
    """
    cache = model(input_ids=torch.zeros(1, 1, dtype=torch.int64), use_cache=True).past_key_values
    shapes = []
    for layer in cache.layers:
        keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
        if not isinstance(keys, Tensor) or not isinstance(values, Tensor) or keys.dim() != 4:
            raise ValueError(f"{type(layer).__name__} keeps no keys and values")
        shapes.append(CacheShape(keys.shape[1], keys.shape[3], values.shape[3]))
    return tuple(shapes)


class ForeignStep(nn.Module):
    """A causal model with its cache as buffers; called as our own decoder's steps are.

    Args:
        model: A class of ``transformers`` for causal language models, ready to be run.
        shapes: Of its cache.
        capacity: Places of the cache.
        context: Tokens that a run may hold; positions beyond are only padding.
    """

    def __init__(
        self, model: nn.Module, shapes: tuple[CacheShape, ...], capacity: int, context: int
    ) -> None:
        super().__init__()
        self.model = model
        self.layers, self.capacity, self.context = len(shapes), capacity, context
        for index, shape in enumerate(shapes):
            keys = torch.zeros(1, shape.heads, capacity, shape.key_size)
            values = torch.zeros(1, shape.heads, capacity, shape.value_size)
            self.register_buffer(f"key{index}", keys, persistent=False)
            self.register_buffer(f"value{index}", values, persistent=False)
        taken = inspect.signature(model.forward).parameters
        self.takes_positions = "position_ids" in taken
        self.takes_rows = "logits_to_keep" in taken

    def cache(self) -> dict[str, Tensor]:
        """The buffers of the cache, by name."""
        names = [f"{part}{index}" for index in range(self.layers) for part in ("key", "value")]
        return {name: self.get_buffer(name) for name in names}

    def forward(self, tokens: Tensor, position: Tensor, last: Tensor | None = None) -> Tensor:
        """Logits of a chunk.

        Args:
            tokens: int64 [1, S].
            position: int64 [1], of the first token.
            last: int64 [1], the row that is asked for; ``None`` for all.

        Returns:
            float32 [1 or S, vocabulary].
        """
        positions = position + torch.arange(tokens.shape[1])
        layers = [
            _Layer(self.get_buffer(f"key{i}"), self.get_buffer(f"value{i}"), positions, position[0])
            for i in range(self.layers)
        ]
        more: dict[str, Any] = {}
        if self.takes_positions:
            # The padding of a last chunk may lie beyond what a table of positions has.
            more["position_ids"] = torch.clamp(positions, max=self.context - 1)[None]
        if self.takes_rows and last is not None:
            more["logits_to_keep"] = last
        given = self.model(
            input_ids=tokens, past_key_values=Cache(layers=layers), use_cache=True, **more
        )
        logits: Tensor = given.logits.flatten(0, 1)
        return logits if last is None or self.takes_rows else logits.index_select(0, last)


@torch.no_grad()
def step_rows(step: ForeignStep, prompt: Tensor, continuation: Tensor) -> Tensor:
    """Golden tokens in one call: float32 [T + 1, vocabulary]. The cache is empty afterwards.

    One call, because torchao expands integer weights anew in every call; the rows are the
    same, as activations are quantized token by token.
    """
    tokens = torch.cat([prompt, continuation])
    rows = step(tokens[None], torch.zeros(1, dtype=torch.int64))[len(prompt) - 1 :]
    for buffer in step.cache().values():
        buffer.zero_()
    kept: Tensor = rows.clone()
    return kept
