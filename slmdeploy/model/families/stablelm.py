"""StableLM 2 up to 3B: layer norms with a bias, a quarter of each head rotated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.families.base import (
    LAYER_NAMES,
    TOP_NAMES,
    Family,
    llama_like_config,
    reading_config,
    refuse_switches,
)
from slmdeploy.model.families.rope_keys import read_rope

__all__ = ["STABLELM"]

_BIASES = {f"{part}.bias": f"self_attn.{part}_proj.bias" for part in "qkv"}


@reading_config()
def _config(hf_config: Mapping[str, Any]) -> DecoderConfig:
    # The 12B model has both.
    refuse_switches(hf_config, "StableLM", "qk_layernorm", "use_parallel_residual")
    return llama_like_config(
        "stablelm",
        hf_config,
        rope=read_rope(hf_config, fraction=0.25),
        eps=1e-5,
        norm="layer",
        qkv_bias=bool(hf_config.get("use_qkv_bias")),
    )


def _with_biases(names: Mapping[str, str]) -> dict[str, str]:
    """The same names, with the two weights of each layer norm."""
    found: dict[str, str] = {}
    for ours, theirs in names.items():
        if not ours.endswith("norm.weight"):
            found[ours] = theirs
            continue
        found[ours.replace(".weight", ".centered.weight")] = theirs
        found[ours.replace(".weight", ".bias")] = theirs.replace(".weight", ".bias")
    return found


@dataclass(frozen=True)
class _StableLm(Family):
    """Biases of the projections are there in some models of the family."""

    def tensor_names(self, config: DecoderConfig) -> dict[str, str]:
        """As of any family."""
        names = super().tensor_names(config)
        biased = config.qkv_bias
        return {ours: theirs for ours, theirs in names.items() if biased or "_proj.b" not in theirs}


STABLELM = _StableLm(
    name="stablelm",
    model_types=("stablelm",),
    config=_config,
    layer_names={**_with_biases(LAYER_NAMES), **_BIASES},
    top_names=_with_biases(TOP_NAMES),
)
