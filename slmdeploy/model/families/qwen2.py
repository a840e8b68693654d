"""Qwen2 and Qwen2.5: biases in the query, key and value projections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import LAYER_NAMES, Family, llama_like_config

__all__ = ["QWEN2"]


def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    if hf_config.get("use_sliding_window"):
        raise UnsupportedModelError("A Qwen2 with use_sliding_window = true is not supported.")
    return llama_like_config("qwen2", hf_config, qkv_bias=True)


QWEN2 = Family(
    name="qwen2",
    model_types=("qwen2",),
    config=_config,
    layer_names={
        **LAYER_NAMES,
        "q.bias": "self_attn.q_proj.bias",
        "k.bias": "self_attn.k_proj.bias",
        "v.bias": "self_attn.v_proj.bias",
    },
)
