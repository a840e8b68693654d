"""Granite 3: a Llama with factors, which go into its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import (
    Family,
    llama_like_config,
    reading_config,
    refuse_switches,
)

__all__ = ["GRANITE"]


@reading_config()
def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    refuse_switches(hf_config, "Granite", "attention_bias", "mlp_bias")
    return llama_like_config(
        "granite",
        hf_config,
        embedding_factor=_factor(hf_config, "embedding_multiplier"),
        attention_scale=_factor(hf_config, "attention_multiplier"),
        residual_factor=_factor(hf_config, "residual_multiplier"),
        logits_factor=1 / _factor(hf_config, "logits_scaling"),
    )


def _factor(hf_config: Mapping[str, Any], key: str) -> float:
    value = float(hf_config.get(key, 1.0))
    if not value:
        raise ValueError(f"{key} is 0")
    return value


GRANITE = Family(name="granite", model_types=("granite",), config=_config)
