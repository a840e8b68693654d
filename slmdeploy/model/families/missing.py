"""Families of decoders that are known and not taken, and what stands in the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["what_is_missing"]

_EXPERTS = "it is a mixture of experts, and the decoder has one feed-forward part a layer"
_STATES = "some of its layers keep a recurrent state, and the cache holds keys and values alone"
_POSITIONS = "its positions are not rotary"
_OWN_CODE = "its code is in the checkpoint (auto_map), and such code is never run"
_LATENT = "its keys and values are projected from a latent vector, and the cache holds them whole"

_REASONS: Mapping[str, str] = {
    **dict.fromkeys(
        ("mixtral", "granitemoe", "granitemoeshared", "olmoe", "phimoe", "qwen2_moe", "qwen3_moe"),
        _EXPERTS,
    ),
    **dict.fromkeys(
        (
            *("bamba", "falcon_h1", "falcon_mamba", "granitemoehybrid", "jamba", "mamba", "mamba2"),
            *("nemotron_h", "olmo_hybrid", "qwen3_next", "recurrent_gemma", "rwkv", "zamba2"),
        ),
        _STATES,
    ),
    **dict.fromkeys(("bloom", "gpt2", "gpt_bigcode", "opt", "xglm"), _POSITIONS),
    "biogpt": "transformers' code of it branches on positions, and an exported graph has one way",
    "gpt_neo": "with a cache of fixed size transformers' local attention looks at other places",
    "mpt": "transformers cuts its slopes to the length of the text, which an exported graph cannot",
    "openai-gpt": "transformers' code of it has no cache",
    **dict.fromkeys(("deepseek_v2", "deepseek_v3"), _LATENT),
    "gemma3n": "its embeddings of each layer have no place in the decoder",
    "gpt_oss": "it is a mixture of experts, and its attention has sinks",
    "lfm2": "its short convolutions keep a state, and the cache holds keys and values alone",
    "lfm2_moe": "its short convolutions keep a state, and the cache holds keys and values alone",
}


def what_is_missing(hf_config: Mapping[str, Any]) -> str | None:
    """Why a checkpoint's family is not taken; ``None`` for what is not known."""
    reason = _REASONS.get(str(hf_config.get("model_type")))
    return _OWN_CODE if reason is None and hf_config.get("auto_map") else reason
