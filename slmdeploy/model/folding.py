"""Constant factors of a family, put into the weights when these are loaded.

What is multiplied by a constant before or after a linear layer or a norm can as well be
multiplied in its weights: the graph that is exported has fewer operators, and exporters need
not know of it. The results differ in the last bit of float32 at most.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from slmdeploy.model.config import DecoderConfig

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["folded"]


def folded(name: str, value: Tensor, config: DecoderConfig) -> Tensor:
    """A weight with the configuration's factors in it.

    Args:
        name: The decoder's name of it, as in ``layers.0.qkv.weight``.
        value: As the checkpoint has it; it is left as it is.
        config: What the model is.
    """
    part = name.split(".", 2)[2] if name.startswith("layers.") else name
    if part.endswith("norm.weight") and config.norm_offset:
        value = value + config.norm_offset
    if part in ("qkv.weight", "qkv.bias", "qk_norm.weight", "q_norm.weight"):
        return _with_scaled_queries(part, value, config)
    factor = _factor(part, config)
    return value if factor == 1 else value * factor


def _factor(part: str, config: DecoderConfig) -> float:
    if part == "embedding.weight":
        return config.embedding_factor
    if part.startswith("norm."):
        # A tied head has the embedding's factor in it, which is taken off here.
        divisor = config.embedding_factor if config.tied else 1.0
        return config.logits_factor / divisor / (config.logits_cap or 1.0)
    gives = ("post_attention_norm", "post_mlp_norm") if config.post_norm else ("o", "down")
    return config.residual_factor if part.rpartition(".")[0] in gives else 1.0


def _with_scaled_queries(part: str, value: Tensor, config: DecoderConfig) -> Tensor:
    """Attention multiplies by 1 / sqrt(head_dim); what is wanted beyond goes into queries."""
    normalized = part.endswith("norm.weight")
    if config.attention_scale is None or config.qk_norm != normalized:
        return value
    scale = config.attention_scale * math.sqrt(config.head_dim)
    rows = config.heads if part == "qk_norm.weight" else config.heads * config.head_dim
    value = value.clone()
    value[:rows] *= scale
    return value
