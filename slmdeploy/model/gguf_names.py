"""Names of GGUF tensors, and the names that Hugging Face checkpoints have for them.

Source: ``MODEL_TENSORS`` and the tensor name map of the ``gguf`` package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["LONG_FACTORS", "NOT_WEIGHTS", "ROPE_FACTORS", "SHORT_FACTORS", "hf_name"]

ROPE_FACTORS = "rope_freqs.weight"
"""Factors by which llama.cpp divides rotary frequencies; not a weight of the model."""
LONG_FACTORS, SHORT_FACTORS = "rope_factors_long.weight", "rope_factors_short.weight"
"""The same of LongRoPE, beyond the original context and within it."""
NOT_WEIGHTS = (ROPE_FACTORS, LONG_FACTORS, SHORT_FACTORS)

_TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output_norm.bias": "model.norm.bias",
    "output.weight": "lm_head.weight",
}
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_POST_NORMS = {
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_GEMMA = {**_LAYER, **_POST_NORMS, "ffn_norm": "pre_feedforward_layernorm"}
_OWN_LAYERS: Mapping[str, Mapping[str, str]] = {
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
    "olmo2": {**_LAYER, **_POST_NORMS},
    "phi3": {**_LAYER, "attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"},
}
"""Architectures whose layers are named otherwise."""
_LAYER_NAME = re.compile(r"blk\.(?P<index>\d+)\.(?P<part>\w+)\.(?P<leaf>weight|bias)")


def hf_name(name: str, arch: str = "llama") -> str | None:
    """The Hugging Face name of a GGUF tensor; ``None`` where the architecture has none."""
    if name in _TOP:
        return _TOP[name]
    parts = _OWN_LAYERS.get(arch, _LAYER)
    match = _LAYER_NAME.fullmatch(name)
    if match is None or match["part"] not in parts:
        return None
    return f"model.layers.{match['index']}.{parts[match['part']]}.{match['leaf']}"
