"""Sizes of a LiteRT artifact that follow from a configuration alone. No torch, no LiteRT."""

from __future__ import annotations

import math

from slmdeploy.compress.recipe import EmbeddingSpec, LinearSpec, Recipe
from slmdeploy.model.config import DecoderConfig

__all__ = ["RUNNER_BYTES", "artifact_bytes", "linear_bytes", "peak_bytes"]

RUNNER_BYTES = 52 * 2**20
"""Resident set of Python, numpy and the runtime before a model is loaded."""

_SIGNATURES = 2
"""That a run loads: one of prefill, and decode."""

_WIDENED = ("fp16", "w4", "w8")
"""Schemes without an integer kernel: an explicit DEQUANTIZE makes float32 of them."""


def linear_bytes(outputs: int, inputs: int, spec: LinearSpec) -> int:
    """Bytes of a linear layer in the file: float16 scales for groups, else float32 ones."""
    weights = outputs * math.ceil(inputs * spec.bits / 8)
    if spec.bits > 8:
        return weights
    if spec.group_size is None:
        return weights + 4 * outputs
    return weights + 2 * outputs * (inputs // spec.group_size)


def _table_bytes(rows: int, columns: int, spec: EmbeddingSpec) -> int:
    return rows * math.ceil(columns * spec.bits / 8) + (4 * rows if spec.bits <= 8 else 0)


def _body_and_head(config: DecoderConfig, recipe: Recipe, *, widened: bool) -> tuple[int, int]:
    def size(outputs: int, inputs: int, spec: LinearSpec) -> int:
        wide = widened and spec.scheme in _WIDENED
        return linear_bytes(outputs, inputs, LinearSpec() if wide else spec)

    hidden, heads = config.hidden_size, config.heads * config.head_dim
    layer = (
        size(heads + 2 * config.kv_heads * config.head_dim, hidden, recipe.body)
        + size(hidden, heads, recipe.body)
        + size(2 * config.intermediate_size, hidden, recipe.body)
        + size(hidden, config.intermediate_size, recipe.body)
    )
    return config.layers * layer, size(config.vocab_size, hidden, recipe.head_spec)


def artifact_bytes(config: DecoderConfig, recipe: Recipe) -> int:
    """Estimate of a decoder's artifact, in bytes; graphs and padding left out."""
    body, head = _body_and_head(config, recipe, widened=False)
    floats = recipe.head_spec.bits == recipe.embedding.bits > 8
    once = config.tied and (recipe.shares_table or floats)
    table = _table_bytes(config.vocab_size, config.hidden_size, recipe.embedding)
    return body + head + (0 if once else table)


def peak_bytes(config: DecoderConfig, recipe: Recipe, context: int) -> int:
    """Estimate of the runner's peak resident set, at the full context."""
    cache = 2 * 4 * config.layers * context * config.kv_heads * config.head_dim
    parts = _body_and_head(config, recipe, widened=True)
    specs = (recipe.body, recipe.head_spec)
    # What was made float32 stays, beside what XNNPACK packs of it.
    kept = sum(size for size, spec in zip(parts, specs, strict=True) if spec.scheme in _WIDENED)
    packed = _SIGNATURES * (sum(parts) + cache)
    return RUNNER_BYTES + artifact_bytes(config, recipe) + kept + packed
