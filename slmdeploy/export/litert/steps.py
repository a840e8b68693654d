"""A decoder as one call of a signature: cache in, logits and new keys and values out.

LiteRT's interpreter has no buffers that a graph could change, so the cache is an input
that the runner writes between calls. Nothing in the graph writes to it: attention goes
over the old cache and over the new keys side by side, and the softmax joins both.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.decoder import Decoder

__all__ = ["KEY", "VALUE", "DecoderStep", "cache_inputs", "step_inputs"]

KEY, VALUE = "key_{}", "value_{}"
"""Names of a layer's tensors, of the cache (inputs) and of what is new (outputs)."""

HIDDEN = -1e9
"""Added to scores of places that must not be seen; its exponential is 0 in float32."""


class DecoderStep(nn.Module):
    """One call: S tokens at a position.

    Args:
        decoder: Its rotary tables have as many positions as the cache.
        rows: Whether the caller asks for one row of logits or all; of one token's call
            there is one anyway.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, decoder: Decoder, rows: Literal["one", "all"]) -> None:
        super().__init__()
        self.config = decoder.config
        self.embedding = decoder.embedding
        self.stages = nn.ModuleList(decoder.stages())
        self.rows = rows
        self.register_buffer("cos", decoder.cos, persistent=False)
        self.register_buffer("sin", decoder.sin, persistent=False)

    def forward(
        self, tokens: Tensor, position: Tensor, last: Tensor | None = None, **cache: Tensor
    ) -> dict[str, Tensor]:
        """Logits of a chunk, and what must be written to the cache.

        Args:
            tokens: int32 [1, S].
            position: int32 [1], of the first token.
            last: int32 [1], the row that is asked for; ``None`` for all.
            **cache: ``key_<layer>`` and ``value_<layer>``, float32 [kv_heads, places,
                head_dim] each; places from ``position`` on are not looked at.

        Returns:
            ``logits`` float32 [1 or S, vocabulary], and as in ``cache`` by name the new
            keys and values, float32 [kv_heads, S, head_dim], of the places from
            ``position`` on.
        """
        length = tokens.shape[1]
        positions = position + torch.arange(length, dtype=torch.int32)
        cos, sin = _rows(self.cos, positions), _rows(self.sin, positions)
        places = cache[KEY.format(0)].shape[1]
        # A chunk sees itself beside the cache's places before it.
        sights = places + length
        masks = {
            window: _masks(position, length, places, window)
            for window in self.config.windows_within(sights)
        }
        x: Tensor = self.embedding(tokens)[0]
        first, *middle, final = self.stages
        query, key, value = first(x, cos, sin)
        written: dict[str, Tensor] = {}
        for layer, stage in enumerate(middle):
            mask = masks[self.config.window(layer, sights)]
            attended = self._attend(layer, (query, key, value), cache, written, mask)
            x, query, key, value = stage(x, attended, cos, sin)
        mask = masks[self.config.window(len(middle), sights)]
        if last is not None:
            # Of the last layer only the row that is asked for goes on.
            x, query = _rows(x, last), _rows(query, last)
            mask = _rows(mask[0], last), _rows(mask[1], last)
        attended = self._attend(len(middle), (query, key, value), cache, written, mask)
        logits: Tensor = final(x, attended)
        return {"logits": logits, **written}

    def _attend(
        self,
        layer: int,
        projected: tuple[Tensor, Tensor, Tensor],
        cache: dict[str, Tensor],
        written: dict[str, Tensor],
        masks: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Attention of a layer, [rows, heads * head_dim]; notes what is to be written."""
        query, key, value = projected
        keys, values = cache[KEY.format(layer)], cache[VALUE.format(layer)]
        new_keys, new_values = key.transpose(0, 1), value.transpose(0, 1)
        written[KEY.format(layer)], written[VALUE.format(layer)] = new_keys, new_values
        length, heads, size = query.shape
        kv_heads = keys.shape[0]
        # A group's heads are rows of one product, so that keys need not be repeated.
        rows = (query * (1 / math.sqrt(size))).transpose(0, 1).reshape(kv_heads, -1, size)
        mask = torch.cat(masks, dim=-1).repeat(heads // kv_heads, 1)[None]
        attend = _joined if new_keys.shape[1] > 1 else _side_by_side
        cap = self.config.attention_cap
        attended = attend(rows, (keys, new_keys), (values, new_values), mask, cap)
        return attended.reshape(heads, length, size).transpose(0, 1).reshape(length, -1)


_Pair = tuple[Tensor, Tensor]
"""What is old and what is new, each [kv_heads, places, head_dim]."""


def _joined(rows: Tensor, keys: _Pair, values: _Pair, mask: Tensor, cap: float | None) -> Tensor:
    """Attention of a chunk: its scores are larger than the cache, so the cache is copied."""
    scores = _capped(torch.bmm(rows, torch.cat(keys, dim=1).transpose(1, 2)), cap) + mask
    return torch.bmm(torch.softmax(scores, dim=-1), torch.cat(values, dim=1))


def _side_by_side(
    rows: Tensor, keys: _Pair, values: _Pair, mask: Tensor, cap: float | None
) -> Tensor:
    """Attention of one token: the cache is larger than its scores, so these are copied."""
    places = keys[0].shape[1]
    parts = [torch.bmm(rows, part.transpose(1, 2)) for part in keys]
    weights = torch.softmax(_capped(torch.cat(parts, dim=-1), cap) + mask, dim=-1)
    old = torch.bmm(weights[..., :places], values[0])
    return old + torch.bmm(weights[..., places:], values[1])


def _capped(scores: Tensor, cap: float | None) -> Tensor:
    return scores if cap is None else torch.tanh(scores / cap) * cap


def _masks(position: Tensor, length: int, places: int, window: int | None) -> tuple[Tensor, Tensor]:
    """What is added to scores over the cache [S, places] and over new keys [S, S]."""
    numbers = torch.arange(places, dtype=torch.int32)
    old = torch.where(numbers[None] < position[:, None], 0.0, HIDDEN).expand(length, -1)
    new = torch.full((length, length), HIDDEN).triu(diagonal=1)
    if window is None:
        return old, new
    first = position + torch.arange(1 - window, length + 1 - window, dtype=torch.int32)
    old = torch.where(numbers[None] < first[:, None], HIDDEN, old)
    return old, new + torch.full((length, length), HIDDEN).tril(diagonal=-window)


def _rows(table: Tensor, places: Tensor) -> Tensor:
    """Rows of a table [N, ...], as the lookup that LiteRT has.

    An index would be checked against the ends of the table by a dozen operators.
    """
    looked_up = functional.embedding(places, table.reshape(table.shape[0], -1))
    return looked_up.reshape(places.shape[0], *table.shape[1:])


def cache_inputs(config: DecoderConfig, capacity: int, length: int = 1) -> dict[str, Tensor]:
    """An empty cache for calls of so many tokens, by the names of its inputs.

    A chunk starts early enough to end within the capacity, so it never looks at the places
    of the cache's end: they are left out, which spares its attention a chunk's width.
    """
    places = capacity if length == 1 else max(1, capacity - length)
    shape = (config.kv_heads, places, config.head_dim)
    names = [name.format(layer) for layer in range(config.layers) for name in (KEY, VALUE)]
    return {name: torch.zeros(shape) for name in names}


def step_inputs(
    config: DecoderConfig, capacity: int, length: int, *, last: bool
) -> dict[str, Tensor]:
    """Example inputs of a call, in the order of the signature."""
    number = torch.zeros(1, dtype=torch.int32)
    inputs = {"tokens": torch.zeros(1, length, dtype=torch.int32), "position": number}
    if last:
        inputs["last"] = number.clone()
    return {**inputs, **cache_inputs(config, capacity, length)}
