"""Mistral, and Ministral, whose layers may see all or a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import Family, llama_like_config, reading_config
from slmdeploy.model.families.rope_keys import read_layer_types, windows_of

__all__ = ["MINISTRAL", "MISTRAL"]


@reading_config()
def _mistral(hf_config: Mapping[str, Any]) -> DecoderConfig:
    # A null is no window; transformers has one of 4096 where the key is missing.
    window = hf_config.get("sliding_window", 4096)
    kind = "full_attention" if window is None else "sliding_attention"
    types = [kind] * int(hf_config["num_hidden_layers"])
    return llama_like_config("mistral", hf_config, windows=windows_of(types, window))


@reading_config()
def _ministral(hf_config: Mapping[str, Any]) -> DecoderConfig:
    window, layers = hf_config.get("sliding_window", 4096), int(hf_config["num_hidden_layers"])
    kind = "full_attention" if window is None else "sliding_attention"
    types = read_layer_types(hf_config, [kind] * layers, layers=layers)
    return llama_like_config("ministral", hf_config, windows=windows_of(types, window))


MISTRAL = Family(name="mistral", model_types=("mistral",), config=_mistral)
MINISTRAL = Family(name="ministral", model_types=("ministral",), config=_ministral)
