"""OLMo 2: norms after attention and feed-forward part alone, queries and keys as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import (
    LAYER_NAMES,
    Family,
    llama_like_config,
    refuse_switches,
)

__all__ = ["OLMO2"]

_PRE_NORMS = ("attention_norm.weight", "mlp_norm.weight")


def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    refuse_switches(hf_config, "OLMo 2", "attention_bias")
    return llama_like_config(
        "olmo2",
        hf_config,
        eps=1e-5,
        pre_norm=False,
        post_norm=True,
        qk_norm=True,
        qk_norm_over="projection",
    )


OLMO2 = Family(
    name="olmo2",
    model_types=("olmo2",),
    config=_config,
    layer_names={
        **{ours: theirs for ours, theirs in LAYER_NAMES.items() if ours not in _PRE_NORMS},
        "post_attention_norm.weight": "post_attention_layernorm.weight",
        "post_mlp_norm.weight": "post_feedforward_layernorm.weight",
        "q_norm.weight": "self_attn.q_norm.weight",
        "k_norm.weight": "self_attn.k_norm.weight",
    },
)
