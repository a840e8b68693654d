"""Phi-3 and Phi-4-mini: fused projections, a part of each head rotated, LongRoPE."""

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
from slmdeploy.model.families.rope_keys import read_rope, windows_of

__all__ = ["PHI3"]

_OLD_NAMES = ("su", "yarn")
"""What LongRoPE was called in older checkpoints of this family."""

_PARTS = ("q.weight", "k.weight", "v.weight", "gate.weight", "up.weight")


@reading_config()
def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    refuse_switches(hf_config, "Phi-3", "attention_bias")
    keys = {"original_max_position_embeddings": 4096, **hf_config}
    for key in ("rope_parameters", "rope_scaling"):
        keys[key] = _renamed(keys.get(key))
    window = keys.get("sliding_window")
    kind = "full_attention" if window is None else "sliding_attention"
    return llama_like_config(
        "phi3",
        keys,
        rope=read_rope(keys),
        eps=1e-5,
        windows=windows_of([kind] * int(keys["num_hidden_layers"]), window),
    )


def _renamed(rope: Any) -> Any:
    if not isinstance(rope, Mapping) or rope.get("rope_type", rope.get("type")) not in _OLD_NAMES:
        return rope
    return {**rope, "rope_type": "longrope"}


PHI3 = Family(
    name="phi3",
    model_types=("phi3",),
    config=_config,
    layer_names={
        **{ours: theirs for ours, theirs in LAYER_NAMES.items() if ours not in _PARTS},
        "qkv.weight": "self_attn.qkv_proj.weight",
        "gate_up.weight": "mlp.gate_up_proj.weight",
    },
)
