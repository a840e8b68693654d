"""Qwen3: queries and keys are normalized per head; no biases."""

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
from slmdeploy.model.families.qwen2 import qwen_windows

__all__ = ["QWEN3"]


@reading_config()
def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    refuse_switches(hf_config, "Qwen3", "attention_bias")
    keys = {"head_dim": 128, **hf_config}
    return llama_like_config("qwen3", keys, qk_norm=True, windows=qwen_windows(keys))


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
