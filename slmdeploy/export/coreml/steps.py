"""A decoder as one call of a Core ML function, with the KV cache inside.

The mask and the rotary rows are computed from the position, not given: on a device the
few integer operations join the lookup of the embedding, which is no work for the Neural
Engine either, and an app has no mask to build. Rotary angles are looked up in tables, since
in float16 an angle of a late position would be wrong by whole turns.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from slmdeploy.model.decoder import Decoder

__all__ = ["HIDDEN", "KEYS", "NEW", "VALUES", "CacheUpdate", "DecoderStep", "step_inputs"]

KEYS, VALUES = "k_cache", "v_cache"
"""The cache: [layers, 1, kv_heads, places, head_dim] each."""
NEW = "{}_out"
"""Names of the cache as an output, where there are no states."""
HIDDEN = -1e4
"""Added to scores that must not be seen; its exponential is 0, and float16 holds it."""

CacheUpdate = Literal["slice", "onehot"]


class DecoderStep(nn.Module):
    """One call: S tokens at a position.

    Args:
        decoder: Plain (``plain_decoder``); its tables have as many positions as the cache.
        update: How new keys and values are written: ``slice`` at a place that is known when
            it runs, ``onehot`` as a blend over the whole cache.
        states: Whether the cache is kept in buffers, or goes in and out.
        last: Whether a row is asked for, or all are given.
    """

    cos: Tensor
    sin: Tensor
    k_cache: Tensor
    v_cache: Tensor

    def __init__(self, decoder: Decoder, update: CacheUpdate, *, states: bool, last: bool) -> None:
        super().__init__()
        self.config = decoder.config
        self.decoder = decoder
        self.update, self.states, self.last = update, states, last
        # As rows of a table they are looked up by one operator, and stay apart from weights.
        self.register_buffer("cos", decoder.cos.flatten(1), persistent=False)
        self.register_buffer("sin", decoder.sin.flatten(1), persistent=False)
        if states:
            self.register_buffer(KEYS, self.empty_cache())
            self.register_buffer(VALUES, self.empty_cache())
        self.numbers = torch.arange(decoder.positions, dtype=torch.int32)

    def _angles(self, table: Tensor, places: Tensor) -> Tensor:
        """Rows of a table, [S, tables, head_dim]."""
        rows = functional.embedding(places, table)
        return rows.view(rows.shape[0], -1, self.config.head_dim)

    def empty_cache(self) -> Tensor:
        """Keys or values of all layers, before the first token."""
        config = self.config
        return torch.zeros(
            config.layers, 1, config.kv_heads, self.decoder.positions, config.head_dim
        )

    def forward(
        self, ids: Tensor, position: Tensor, *more: Tensor
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Logits of a chunk.

        Args:
            ids: int32 [1, S].
            position: int32 [1], of the first token.
            *more: Where a row is asked for, its number, int32 [1]; then, where there are no
                states, ``k_cache`` and ``v_cache``.

        Returns:
            float32 [1 or S, vocabulary]; without states the cache after it.
        """
        last = more[0] if self.last else None
        keys, values = (None, None) if self.states else more[-2:]
        cache = _Cache(self, position, ids.shape[1], keys, values)
        cos, sin = (self._angles(table, cache.places) for table in (self.cos, self.sin))
        x: Tensor = self.decoder.embedding(ids)[0]
        first, *middle, final = self.decoder.stages()
        query, key, value = first(x, cos, sin)
        for layer, stage in enumerate(middle):
            cache.write(layer, key, value)
            x, query, key, value = stage(x, cache.attend(layer, query), cos, sin)
        layer = len(middle)
        cache.write(layer, key, value)
        if last is not None:
            # Of the last layer only the row that is asked for goes on.
            x, query = _rows(x, last), _rows(query, last)
            cache.keep(last)
        logits: Tensor = final(x, cache.attend(layer, query))
        return logits if self.states else (logits, *cache.after())


class _Cache:
    """The cache in one call."""

    def __init__(
        self,
        step: DecoderStep,
        position: Tensor,
        length: int,
        keys: Tensor | None,
        values: Tensor | None,
    ) -> None:
        self._step = step
        self._position, self._length = position, length
        self.places = position + torch.arange(length, dtype=torch.int32)
        windows = step.config.windows_within(step.decoder.positions)
        self._masks = {window: _mask(step, self.places, window) for window in windows}
        self._given = () if keys is None or values is None else (keys, values)
        self._written: list[tuple[Tensor, Tensor]] = []

    def write(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Put keys and values [S, kv_heads, head_dim] at their places."""
        new = key.transpose(0, 1)[None], value.transpose(0, 1)[None]
        if self._given:
            old = self._given[0][layer], self._given[1][layer]
            self._written.append((self._blended(old[0], new[0]), self._blended(old[1], new[1])))
            return
        for cache, one in zip((self._step.k_cache, self._step.v_cache), new, strict=True):
            if self._step.update == "onehot":
                cache[layer] = self._blended(cache[layer], one)
            else:
                begin = self._position[0]
                cache[layer, :, :, begin : begin + self._length, :] = one

    def attend(self, layer: int, query: Tensor) -> Tensor:
        """Attention [rows, heads * head_dim] of queries [rows, heads, head_dim]."""
        rows, heads, size = query.shape
        kv_heads = self._step.config.kv_heads
        if self._given:
            keys, values = self._written[layer]
        else:
            keys, values = self._step.k_cache[layer], self._step.v_cache[layer]
        # A group's heads are rows of one product, so that keys need not be repeated.
        grouped = query.transpose(0, 1).reshape(1, kv_heads, -1, size)
        window = self._step.config.window(layer, self._step.decoder.positions)
        mask = self._masks[window].repeat(heads // kv_heads, 1)[None, None]
        attended = _attend(grouped, keys, values, mask, self._step.config.attention_cap)
        return attended.reshape(heads, rows, size).transpose(0, 1).reshape(rows, -1)

    def keep(self, last: Tensor) -> None:
        """Go on with one row of the chunk."""
        row = _rows(self.places, last)
        self._masks = {window: _mask(self._step, row, window) for window in self._masks}

    def after(self) -> tuple[Tensor, Tensor]:
        """The whole cache, as outputs."""
        keys, values = zip(*self._written, strict=True)
        return torch.stack(keys), torch.stack(values)

    def _blended(self, old: Tensor, new: Tensor) -> Tensor:
        """The cache of a layer with new rows in it: places that get none keep theirs."""
        chosen = (self._step.numbers[:, None] == self.places[None]).to(old.dtype)
        kept = 1 - chosen.sum(dim=-1, keepdim=True)
        return old * kept + chosen @ new


def _attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, cap: float | None) -> Tensor:
    """The one operator that iOS 18 has, but where scores are capped by a tanh."""
    if cap is None:
        return functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
    # Numbers are float16 in the package, so they are here.
    scale, cap = (float(np.float16(one)) for one in (query.shape[-1] ** -0.5 / cap, cap))
    scores = query @ keys.transpose(-1, -2) * scale
    return torch.softmax(torch.tanh(scores) * cap + mask, dim=-1) @ values


def _mask(step: DecoderStep, places: Tensor, window: int | None) -> Tensor:
    """What is added to scores, [rows, capacity]."""
    numbers, places = step.numbers[None], places[:, None]
    mask = torch.where(numbers <= places, 0.0, HIDDEN)
    return mask if window is None else torch.where(numbers <= places - window, HIDDEN, mask)


def _rows(x: Tensor, places: Tensor) -> Tensor:
    """Rows of a tensor, as one lookup."""
    return torch.index_select(x, 0, places)


def step_inputs(length: int, *, last: bool) -> dict[str, Tensor]:
    """Example inputs of a call but the cache, in their order."""
    number = torch.zeros(1, dtype=torch.int32)
    inputs = {"ids": torch.zeros(1, length, dtype=torch.int32), "position": number}
    return {**inputs, "last": number.clone()} if last else inputs
