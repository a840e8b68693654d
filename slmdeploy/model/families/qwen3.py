"""Qwen3: queries and keys are normalized per head; no biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import LAYER_NAMES, Family, llama_like_config

__all__ = ["QWEN3"]


def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    for key in ("attention_bias", "use_sliding_window"):
        if hf_config.get(key):
            raise UnsupportedModelError(f"A Qwen3 with {key} = true is not supported.")
    return llama_like_config("qwen3", {"head_dim": 128, **hf_config}, qk_norm=True)


QWEN3 = Family(
    name="qwen3",
    model_types=("qwen3",),
    config=_config,
    layer_names={
        **LAYER_NAMES,
        "q_norm.weight": "self_attn.q_norm.weight",
        "k_norm.weight": "self_attn.k_norm.weight",
    },
)
