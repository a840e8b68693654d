"""Qwen2 and Qwen2.5: biases in the query, key and value projections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import LAYER_NAMES, Family, llama_like_config, reading_config
from slmdeploy.model.families.rope_keys import read_layer_types, windows_of

__all__ = ["QWEN2", "qwen_windows"]


def qwen_windows(hf_config: Mapping[str, Any]) -> tuple[int | None, ...]:
    """Windows of Qwen2 and Qwen3: of the layers from ``max_window_layers`` on, if switched on."""
    if not hf_config.get("use_sliding_window"):
        return ()
    layers, first = int(hf_config["num_hidden_layers"]), int(hf_config.get("max_window_layers", 28))
    default = ["full_attention"] * min(first, layers)
    default += ["sliding_attention"] * (layers - len(default))
    types = read_layer_types(hf_config, default, layers=layers)
    return windows_of(types, hf_config.get("sliding_window", 4096))


@reading_config()
def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    windows = qwen_windows(hf_config)
    return llama_like_config("qwen2", hf_config, qkv_bias=True, windows=windows)


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
