"""Gemma 2: norms before and after, soft caps, every other layer with a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import (
    LAYER_NAMES,
    Family,
    llama_like_config,
    reading_config,
    refuse_switches,
)
from slmdeploy.model.families.rope_keys import read_layer_types, windows_of

__all__ = ["GEMMA2", "GEMMA_LAYER_NAMES", "gemma_switches"]

GEMMA_LAYER_NAMES: Mapping[str, str] = {
    **LAYER_NAMES,
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "mlp_norm.weight": "pre_feedforward_layernorm.weight",
    "post_mlp_norm.weight": "post_feedforward_layernorm.weight",
}


def gemma_switches(hf_config: Mapping[str, Any], default: list[str]) -> dict[str, Any]:
    """What Gemma 2 and 3 share.

    Args:
        hf_config: The checkpoint's ``config.json``, with the family's defaults.
        default: Types of layers where the key is missing.

    Raises:
        UnsupportedModelError: It attends to what follows, or has biases.
    """
    refuse_switches(hf_config, "Gemma", "attention_bias", "use_bidirectional_attention")
    types = read_layer_types(hf_config, default, layers=int(hf_config["num_hidden_layers"]))
    cap = hf_config["final_logit_softcapping"]
    return {
        "tied_by_default": True,
        "windows": windows_of(types, hf_config.get("sliding_window", 4096)),
        "post_norm": True,
        "norm_offset": 1.0,
        "embedding_factor": float(hf_config["hidden_size"]) ** 0.5,
        "attention_scale": float(hf_config.get("query_pre_attn_scalar", 256)) ** -0.5,
        "logits_cap": None if cap is None else float(cap),
    }


@reading_config()
def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    defaults = {
        "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    }
    keys = {**defaults, **hf_config}
    layers, cap = int(keys["num_hidden_layers"]), keys["attn_logit_softcapping"]
    default = ["full_attention" if n % 2 else "sliding_attention" for n in range(layers)]
    return llama_like_config(
        "gemma2",
        keys,
        attention_cap=None if cap is None else float(cap),
        **gemma_switches(keys, default),
    )


GEMMA2 = Family(
    name="gemma2", model_types=("gemma2",), config=_config, layer_names=GEMMA_LAYER_NAMES
)
