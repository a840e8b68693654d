"""Llama 2 and 3, TinyLlama, SmolLM and SmolLM2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import Family, llama_like_config, refuse_switches

__all__ = ["LLAMA"]


def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    refuse_switches(hf_config, "Llama", "attention_bias", "mlp_bias")
    return llama_like_config("llama", hf_config)


LLAMA = Family(name="llama", model_types=("llama",), config=_config)
