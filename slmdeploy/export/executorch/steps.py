"""The graphs of ``prefill`` and ``decode``: delegates in a chain, the cache between them.

Two kernel sets share everything but the attention:

* ``llm``: ``llama::update_cache`` and ``llama::custom_sdpa``, operators of ExecuTorch's
  LLM extension, between the delegates; cache layout [1, capacity, kv_heads, head_dim].
* ``portable``: the cache is written by ``index_put`` and the attention is part of the
  delegates, so nothing beyond the wheel's own libraries is needed; cache layout
  [kv_heads, capacity, head_dim].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from slmdeploy.export.executorch.lowering import LoweredStage, StageLowering
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.decoder import Decoder, FirstStage, LastStage, MiddleStage

__all__ = ["Cache", "LlmStep", "PortableStep", "Step", "lower_step", "mask_for"]

HIDDEN = -1e9
"""Added to the score of a position that must not be seen; finite, so that a row of
nothing else gives no NaN."""


class Cache(nn.Module):
    """Keys and values of all layers, as buffers that ``prefill`` and ``decode`` share."""

    def __init__(self, config: DecoderConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = config.layers
        for layer in range(config.layers):
            self.register_buffer(f"key{layer}", torch.zeros(shape), persistent=False)
            self.register_buffer(f"value{layer}", torch.zeros(shape), persistent=False)

    def pair(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer."""
        return self.get_buffer(f"key{layer}"), self.get_buffer(f"value{layer}")


def _require(condition: bool) -> None:  # noqa: FBT001
    """Tell the tracer a bound of a symbol; the only way to has an underscore."""
    torch._check(condition)  # type: ignore[no-untyped-call]  # noqa: SLF001


class AttendingMiddle(nn.Module):
    """A middle stage with the attention before it, over a cache that is handed in."""

    def __init__(self, stage: MiddleStage, cap: float | None = None) -> None:
        super().__init__()
        self.stage, self.cap = stage, cap
        self.variant = stage.variant

    def forward(  # noqa: PLR0917 - a traced module takes its inputs by position
        self,
        x: Tensor,
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor,
        cos: Tensor,
        sin: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As ``MiddleStage``, with query, cache and mask in place of ``attended``."""
        result: tuple[Tensor, Tensor, Tensor, Tensor] = self.stage(
            x, attend(query, keys, values, mask, self.cap), cos, sin
        )
        return result


class AttendingLast(nn.Module):
    """The last stage with the attention before it."""

    def __init__(self, stage: LastStage, cap: float | None = None) -> None:
        super().__init__()
        self.stage, self.cap = stage, cap
        self.variant = stage.variant

    def forward(
        self, x: Tensor, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor
    ) -> Tensor:
        """As ``LastStage``, with query, cache and mask in place of ``attended``."""
        logits: Tensor = self.stage(x, attend(query, keys, values, mask, self.cap))
        return logits


def attend(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, cap: float | None = None
) -> Tensor:
    """Grouped-query attention without repeating keys: a group's heads are rows.

    Args:
        query: [S, heads, head_dim].
        keys: [kv_heads, capacity, head_dim].
        values: As ``keys``.
        mask: [1, group * S, capacity], added to the scores.
        cap: Scores are kept within this limit by a tanh.

    Returns:
        [S, heads * head_dim].
    """
    length, heads, size = query.shape
    kv_heads = keys.shape[0]
    rows = (query * (1 / math.sqrt(size))).transpose(0, 1).reshape(kv_heads, -1, size)
    scores = torch.bmm(rows, keys.transpose(1, 2))
    if cap is not None:
        scores = torch.tanh(scores / cap) * cap
    weights = torch.softmax(scores + mask, dim=-1)
    attended = torch.bmm(weights, values).reshape(heads, length, size)
    return attended.transpose(0, 1).reshape(length, heads * size)


def mask_for(positions: Tensor, capacity: int, window: int | None) -> Tensor:
    """What is added to scores, [S, capacity].

    Args:
        positions: int64 [S], of the queries.
        capacity: Places of the cache.
        window: Places that each query sees, its own among them; ``None`` for all before it.
    """
    before = positions[:, None] - torch.arange(capacity)[None]
    seen: Tensor | float = 0.0
    if window is not None:
        seen = torch.where(before < window, 0.0, HIDDEN)
    return torch.where(before >= 0, seen, HIDDEN)


class Step(nn.Module):
    """What both kernel sets share: embedding, rotary tables, cache, rows asked for."""

    cos: Tensor
    sin: Tensor

    def __init__(
        self,
        decoder: Decoder,
        cache: Cache,
        stages: Sequence[nn.Module],
        rows: Literal["one", "all"],
    ) -> None:
        super().__init__()
        self.config = decoder.config
        self.embedding = decoder.embedding
        self.cache = cache
        self.stages = nn.ModuleList(stages)
        self.rows = rows
        self.register_buffer("cos", decoder.cos, persistent=False)
        self.register_buffer("sin", decoder.sin, persistent=False)

    def lowered(self) -> list[LoweredStage]:
        """The delegates in the order of their calls."""
        return [stage for stage in self.stages if isinstance(stage, LoweredStage)]

    def _rows(self, value: Tensor, last: Tensor | None) -> Tensor:
        return value if last is None else value.index_select(0, last)


class LlmStep(Step):
    """A step whose attention and cache are ``llama::`` operators."""

    def forward(self, tokens: Tensor, position: Tensor, last: Tensor | None = None) -> Tensor:
        """Logits of a chunk.

        Args:
            tokens: int64 [1, S].
            position: int64 [1], of the first token.
            last: int64 [1], the row that is asked for; ``None`` for all.

        Returns:
            float32 [1 or S, vocabulary].
        """
        length, capacity = tokens.shape[1], self.cos.shape[0]
        # No int() around it: it must stay a symbol while the graph is traced.
        start = cast("int", position[0].item())
        _require(start >= 0)
        _require(start + length <= capacity)
        cos, sin = self.cos.narrow(0, start, length), self.sin.narrow(0, start, length)
        masks = {
            window: None
            if window is None
            else mask_for(position + torch.arange(length), capacity, window)
            for window in self.config.windows_within(capacity)
        }
        x: Tensor = self.embedding(tokens)[0]
        first, *middle, final = self.stages
        query, key, value = first(x, cos, sin)
        for layer, stage in enumerate(middle):
            mask = masks[self.config.window(layer, capacity)]
            attended = self._attend(layer, start, (query, key, value), mask)
            x, query, key, value = stage(x, attended, cos, sin)
        mask = masks[self.config.window(len(middle), capacity)]
        attended = self._attend(len(middle), start, (query, key, value), mask)
        logits: Tensor = final(self._rows(x, last), self._rows(attended, last))[0]
        return logits

    def _attend(
        self,
        layer: int,
        start: int,
        projected: tuple[Tensor, Tensor, Tensor],
        mask: Tensor | None,
    ) -> Tensor:
        query, key, value = projected
        keys, values = self.cache.pair(layer)
        llama = torch.ops.llama
        # Views, which cost nothing in the artifact; an unsqueeze would be a copy.
        llama.update_cache(key.view(1, *key.shape), keys, start)
        llama.update_cache(value.view(1, *value.shape), values, start)
        scale = 1 / math.sqrt(self.config.head_dim)
        # Causal by itself is faster: it does not look beyond the position.
        attended: Tensor = llama.custom_sdpa(
            query.view(1, *query.shape), keys, values, start, mask, 0.0, mask is None, scale
        )
        return attended.reshape(query.shape[0], -1)


class PortableStep(Step):
    """A step made of core operators alone."""

    def forward(self, tokens: Tensor, position: Tensor, last: Tensor | None = None) -> Tensor:
        """As ``LlmStep.forward``."""
        length, capacity = tokens.shape[1], self.cos.shape[0]
        positions = position + torch.arange(length)
        cos, sin = self.cos[positions], self.sin[positions]
        masks = {
            window: mask_for(positions, capacity, window)
            for window in self.config.windows_within(capacity)
        }
        group = self.config.heads // self.config.kv_heads
        tiled = {window: mask.repeat(group, 1)[None] for window, mask in masks.items()}
        x: Tensor = self.embedding(tokens)[0]
        first, *middle, final = self.stages
        query, key, value = first(x, cos, sin)
        for layer, stage in enumerate(middle):
            keys, values = self._write(layer, positions, key, value)
            mask = tiled[self.config.window(layer, capacity)]
            x, query, key, value = stage(x, query, keys, values, mask, cos, sin)
        keys, values = self._write(len(middle), positions, key, value)
        window = self.config.window(len(middle), capacity)
        mask = tiled[window]
        if last is not None:
            x, query = self._rows(x, last), self._rows(query, last)
            mask = self._rows(masks[window], last).repeat(group, 1)[None]
        logits: Tensor = final(x, query, keys, values, mask)[0]
        return logits

    def _write(
        self, layer: int, positions: Tensor, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor]:
        keys, values = self.cache.pair(layer)
        keys[:, positions] = key.transpose(0, 1)
        values[:, positions] = value.transpose(0, 1)
        return keys, values


def lower_step(
    decoder: Decoder,
    cache: Cache,
    lowering: StageLowering,
    *,
    kernels: Literal["portable", "llm"],
    length: int,
    rows: Literal["one", "all"],
    advance: Callable[[], None],
) -> LlmStep | PortableStep:
    """Lower the stages of a method and chain them.

    Args:
        decoder: Compressed; its rotary tables have the cache's capacity.
        cache: Shared by all methods.
        lowering: Shared by all methods, for its memory of finished graphs.
        kernels: Which attention.
        length: Tokens of a call.
        rows: Whether the caller asks for one row of logits or all.
        advance: Called after each stage.

    Raises:
        ExportError: A part of the model has no place in a delegate.
    """
    shapes = _Shapes(decoder.config, decoder.cos.shape[0], length, 1 if rows == "one" else length)
    lowered = []
    for stage in decoder.stages():
        if kernels == "llm":
            lowered.append(lowering.lower(stage, shapes.llm(stage)))
        else:
            lowered.append(lowering.lower(*shapes.portable(stage)))
        advance()
    step = LlmStep if kernels == "llm" else PortableStep
    return step(decoder, cache, lowered, rows)


@dataclass(frozen=True)
class _Shapes:
    """Example inputs of stages."""

    config: DecoderConfig
    capacity: int
    length: int
    last_rows: int

    def _hidden(self, rows: int) -> Tensor:
        return torch.zeros(rows, self.config.hidden_size)

    def _query(self, rows: int) -> Tensor:
        return torch.zeros(rows, self.config.heads, self.config.head_dim)

    def _rotary(self) -> tuple[Tensor, Tensor]:
        tables = 1 if self.config.local_rope is None else 2
        table = torch.zeros(self.length, tables, self.config.head_dim)
        return table, table.clone()

    def _cache(self, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        config = self.config
        keys = torch.zeros(config.kv_heads, self.capacity, config.head_dim)
        group = config.heads // config.kv_heads
        return keys, keys.clone(), torch.zeros(1, group * rows, self.capacity)

    def llm(self, stage: nn.Module) -> tuple[Tensor, ...]:
        """Inputs of a stage that gets the attention's output."""
        if isinstance(stage, FirstStage):
            return (self._hidden(self.length), *self._rotary())
        rows = self.last_rows if isinstance(stage, LastStage) else self.length
        attended = torch.zeros(rows, self.config.heads * self.config.head_dim)
        inputs = (self._hidden(rows), attended)
        return inputs if isinstance(stage, LastStage) else (*inputs, *self._rotary())

    def portable(self, stage: nn.Module) -> tuple[nn.Module, tuple[Tensor, ...]]:
        """A stage that attends itself, and its inputs."""
        if isinstance(stage, MiddleStage):
            inputs = (self._hidden(self.length), self._query(self.length))
            attending = AttendingMiddle(stage, self.config.attention_cap)
            return attending, (*inputs, *self._cache(self.length), *self._rotary())
        if isinstance(stage, LastStage):
            rows = self.last_rows
            final = AttendingLast(stage, self.config.attention_cap)
            return final, (self._hidden(rows), self._query(rows), *self._cache(rows))
        return stage, self.llm(stage)
