"""Sizes of a Core ML artifact that follow from a configuration alone. No torch, no coremltools."""

from __future__ import annotations

import math

from slmdeploy.compress.recipe import EmbeddingSpec, LinearSpec, Recipe, SparsitySpec
from slmdeploy.model.config import DecoderConfig

__all__ = ["PEAK_NOT_KNOWN", "artifact_bytes", "cache_bytes", "capacity"]

PEAK_NOT_KNOWN = "no package ran on an Apple device yet, so what Core ML copies is not known"
"""Why there is no estimate of memory on the device. What is known of it are the sizes of package
and cache; a sum of the two would be too little, and an app's own memory a guess."""

_PLACES = 32
"""The cache holds a multiple of this: the Neural Engine is said to refuse states whose
dimensions are not (apple/coremltools#2631)."""


def _bytes(outputs: int, inputs: int, spec: LinearSpec | EmbeddingSpec) -> int:
    """Weights, or those that are not zero and a bit for each; float16 scales, tables of either."""
    count = outputs * inputs
    sparsity = None if isinstance(spec, EmbeddingSpec) else spec.sparsity
    kept = count if sparsity is None else round(count * _share_kept(sparsity))
    mask = 0 if sparsity is None else math.ceil(count / 8)
    return math.ceil(kept * min(spec.bits, 16) / 8) + mask + _beside(outputs, inputs, spec)


def _share_kept(sparsity: SparsitySpec) -> float:
    if sparsity.kept_of is not None:
        return sparsity.kept_of[0] / sparsity.kept_of[1]
    return 1 - (sparsity.fraction or 0)


def _beside(outputs: int, inputs: int, spec: LinearSpec | EmbeddingSpec) -> int:
    """What integers and indices stand for: a float16 scale for each group, or tables."""
    palette = spec.palette
    if palette is not None:
        entries = 2**palette.bits
        table = 2 * entries if palette.table == "fp16" else entries + 2
        return outputs // (palette.channels or outputs) * table
    return 0 if spec.bits > 8 else 2 * outputs * (inputs // (spec.group_size or inputs))


def artifact_bytes(config: DecoderConfig, recipe: Recipe) -> int:
    """Estimate of a decoder's artifact, in bytes; graphs and padding left out."""
    hidden, heads = config.hidden_size, config.heads * config.head_dim
    body = recipe.body
    layer = (
        _bytes(heads + 2 * config.kv_heads * config.head_dim, hidden, body)
        + _bytes(hidden, heads, body)
        + _bytes(2 * config.intermediate_size, hidden, body)
        + _bytes(hidden, config.intermediate_size, body)
    )
    floats = recipe.head_spec.bits > 8 and recipe.embedding.bits > 8
    once = config.tied and (recipe.shares_table or floats)
    head = _bytes(config.vocab_size, hidden, recipe.head_spec)
    table = _bytes(config.vocab_size, hidden, recipe.embedding)
    return config.layers * layer + head + (0 if once else table)


def capacity(context: int, chunk: int) -> int:
    """Places of a cache: whole multiples of what the Neural Engine takes, no less than a chunk."""
    return -(-max(context, chunk) // _PLACES) * _PLACES


def cache_bytes(config: DecoderConfig, places: int) -> int:
    """A cache of float16 keys and values."""
    return 2 * 2 * config.layers * places * config.kv_heads * config.head_dim
