"""What the metadata of a GGUF file say beyond what all architectures have, by architecture.

Keys as in the ``gguf`` package; which of them llama.cpp's converter writes, and what llama.cpp
takes for granted, as in its converter and its model files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["ARCHITECTURES", "Architecture"]

_RMS_EPS, _LAYER_EPS = "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"
_WINDOW = {"attention.sliding_window": "sliding_window"}


class Architecture(NamedTuple):
    """How files of an architecture are read.

    Attributes:
        class_name: The class of transformers that it stands for.
        model_type: As in ``config.json``.
        eps: Key of the norms' epsilon, and its name in ``config.json``.
        keys: Further keys that are taken over where they are there.
        fixed: What ``config.json`` would have and the file has not.
        permuted: Rows of q and k are stored with rotary pairs side by side.
        norm_offset: Added to the weights of norms by the converter.
        theta: Base of the rotary embedding where none is given.
        partly_rotated: A part of a head may be rotated.
        large: Layers of the one size that scales scores by hidden size over heads.
    """

    class_name: str
    model_type: str
    eps: tuple[str, str] = (_RMS_EPS, "rms_norm_eps")
    keys: Mapping[str, str] = {}
    fixed: Mapping[str, Any] = {}
    permuted: bool = False
    norm_offset: float = 0.0
    theta: float = 10000.0
    partly_rotated: bool = False
    large: int | None = None


ARCHITECTURES: Mapping[str, Architecture] = {
    "gemma2": Architecture(
        "Gemma2ForCausalLM",
        "gemma2",
        keys={
            **_WINDOW,
            "attn_logit_softcapping": "attn_logit_softcapping",
            "final_logit_softcapping": "final_logit_softcapping",
        },
        fixed={"hidden_act": "gelu_pytorch_tanh"},
        norm_offset=1.0,
        large=46,
    ),
    "gemma3": Architecture(
        "Gemma3ForCausalLM",
        "gemma3_text",
        keys={
            **_WINDOW,
            "attention.sliding_window_pattern": "sliding_window_pattern",
            "rope.freq_base_swa": "rope_local_base_freq",
        },
        fixed={"hidden_act": "gelu_pytorch_tanh"},
        norm_offset=1.0,
        theta=1e6,
        large=62,
    ),
    "granite": Architecture(
        "GraniteForCausalLM",
        "granite",
        keys={
            "attention.scale": "attention_multiplier",
            "embedding_scale": "embedding_multiplier",
            "logit_scale": "logits_scaling",
            "residual_scale": "residual_multiplier",
        },
        permuted=True,
    ),
    "llama": Architecture("LlamaForCausalLM", "llama", permuted=True),
    "olmo2": Architecture("Olmo2ForCausalLM", "olmo2"),
    "phi3": Architecture("Phi3ForCausalLM", "phi3", keys=_WINDOW, partly_rotated=True),
    "qwen2": Architecture("Qwen2ForCausalLM", "qwen2"),
    "qwen3": Architecture("Qwen3ForCausalLM", "qwen3"),
    "smollm3": Architecture("SmolLM3ForCausalLM", "smollm3", permuted=True),
    "stablelm": Architecture(
        "StableLmForCausalLM",
        "stablelm",
        eps=(_LAYER_EPS, "layer_norm_eps"),
        keys={"use_parallel_residual": "use_parallel_residual"},
        partly_rotated=True,
    ),
}
"""``general.architecture`` of the files that are read, and how."""
