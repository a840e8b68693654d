"""Llama 2 and 3, TinyLlama, SmolLM and SmolLM2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import Family, llama_like_config

__all__ = ["LLAMA"]


def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    for key in ("attention_bias", "mlp_bias"):
        if hf_config.get(key):
            raise UnsupportedModelError(f"A Llama with {key} = true is not supported.")
    return llama_like_config("llama", hf_config)


LLAMA = Family(name="llama", model_types=("llama",), config=_config)
