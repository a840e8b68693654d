"""Gemma 3, the text model: norms per head, five layers with a window for each without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import Family, llama_like_config, reading_config
from slmdeploy.model.families.gemma2 import GEMMA_LAYER_NAMES, gemma_switches
from slmdeploy.model.families.rope_keys import Rope, read_rope

__all__ = ["GEMMA3"]

_THETA, _LOCAL_THETA = 1e6, 1e4


@reading_config()
def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    defaults = {
        "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "final_logit_softcapping": None,
    }
    keys = {**defaults, **hf_config}
    if keys.get("attn_logit_softcapping") is not None:
        raise UnsupportedModelError(
            "A Gemma 3 with attn_logit_softcapping is not supported: transformers ignores it."
        )
    layers, every = int(keys["num_hidden_layers"]), int(keys.get("sliding_window_pattern", 6))
    default = ["sliding_attention" if (n + 1) % every else "full_attention" for n in range(layers)]
    switches = gemma_switches(keys, default)
    rope, local = _ropes(keys)
    windows = switches["windows"] or (None,) * layers
    return llama_like_config(
        "gemma3",
        keys,
        rope=rope,
        local_rope=(local.theta, local.scaling),
        ropes=tuple(0 if window is None else 1 for window in windows),
        qk_norm=True,
        **switches,
    )


def _ropes(keys: Mapping[str, Any]) -> tuple[Rope, Rope]:
    """Of full layers and of sliding ones: from keys for each type, or from the old ones."""
    given = keys.get("rope_parameters") or {}
    if "full_attention" in given or "sliding_attention" in given:
        full = read_rope(keys, theta=_THETA, layer_type="full_attention")
        plain = {name: value for name, value in keys.items() if name != "rope_theta"}
        return full, read_rope(plain, theta=_LOCAL_THETA, layer_type="sliding_attention")
    local = float(keys.get("rope_local_base_freq", _LOCAL_THETA))
    return read_rope(keys, theta=_THETA), Rope(local, None, 1.0, None)


GEMMA3 = Family(
    name="gemma3",
    model_types=("gemma3_text",),
    config=_config,
    layer_names={
        **GEMMA_LAYER_NAMES,
        "q_norm.weight": "self_attn.q_norm.weight",
        "k_norm.weight": "self_attn.k_norm.weight",
    },
)
