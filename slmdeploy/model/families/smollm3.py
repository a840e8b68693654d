"""SmolLM3: every fourth layer has no rotation (Yang et al. 2025, arXiv 2501.18795)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.errors import ModelReadError
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import (
    Family,
    llama_like_config,
    reading_config,
    refuse_switches,
)
from slmdeploy.model.families.rope_keys import read_layer_types, read_rope, windows_of

__all__ = ["SMOLLM3"]


@reading_config()
def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    refuse_switches(hf_config, "SmolLM3", "attention_bias", "mlp_bias")
    rotated = _rotated(hf_config)
    return llama_like_config(
        "smollm3",
        hf_config,
        rope=read_rope(hf_config, theta=2e6),
        tied_by_default=True,
        ropes=tuple(0 if one else None for one in rotated),
        windows=_windows(hf_config, rotated),
    )


def _rotated(hf_config: Mapping[str, Any]) -> tuple[bool, ...]:
    """Whether each layer has a rotation; the key's name says the opposite of what it holds."""
    layers = int(hf_config["num_hidden_layers"])
    every = int(hf_config.get("no_rope_layer_interval", 4))
    default = [(number + 1) % every != 0 for number in range(layers)]
    given = hf_config.get("no_rope_layers") or default
    if len(given) < layers:
        raise ModelReadError(
            f"config.json has {layers} layers, and no_rope_layers for {len(given)} of them."
        )
    return tuple(bool(one) for one in given[:layers])


def _windows(hf_config: Mapping[str, Any], rotated: tuple[bool, ...]) -> tuple[int | None, ...]:
    window = hf_config.get("sliding_window")
    if not hf_config.get("use_sliding_window") or window is None:
        return ()
    default = ["full_attention" if one else "sliding_attention" for one in rotated]
    return windows_of(read_layer_types(hf_config, default, layers=len(rotated)), window)


SMOLLM3 = Family(name="smollm3", model_types=("smollm3",), config=_config)
