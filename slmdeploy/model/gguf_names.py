"""Names of GGUF tensors, and the names that Hugging Face checkpoints have for them.

Source: ``MODEL_TENSORS`` and the tensor name map of the ``gguf`` package.
"""

from __future__ import annotations

import re

__all__ = ["ROPE_FACTORS", "hf_name"]

ROPE_FACTORS = "rope_freqs.weight"
"""Factors by which llama.cpp divides rotary frequencies; not a weight of the model."""

_TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
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
_LAYER_NAME = re.compile(r"blk\.(?P<index>\d+)\.(?P<part>\w+)\.(?P<leaf>weight|bias)")


def hf_name(name: str) -> str | None:
    """The Hugging Face name of a GGUF tensor; ``None`` where Llama-like models have none."""
    if name in _TOP:
        return _TOP[name]
    match = _LAYER_NAME.fullmatch(name)
    if match is None or match["part"] not in _LAYER:
        return None
    return f"model.layers.{match['index']}.{_LAYER[match['part']]}.{match['leaf']}"
