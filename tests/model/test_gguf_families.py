"""Each architecture: a file as llama.cpp's converter writes it gives transformers' logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slmdeploy.model.families import family_for
from slmdeploy.model.gguf_families import ARCHITECTURES
from slmdeploy.model.gguf_names import LONG_FACTORS, SHORT_FACTORS, hf_name
from slmdeploy.model.gguf_source import open_gguf_source
from slmdeploy.model.load import load_decoder
from tests.model.conftest import write_gguf
from tests.model.families.cases import LIMIT, PROMPT, TOTAL, fixed, through_the_cache
from tests.model.reference import Reference, tokens

OWN: dict[str, dict[str, Any]] = {
    "gemma2": {"query_pre_attn_scalar": 24},
    "gemma3": {"query_pre_attn_scalar": 24, "sliding_window_pattern": 6, "layer_types": None},
    "llama": {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    "qwen2": {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
}
"""Where a file cannot say all that a configuration can."""


def metadata(arch: str, hf: dict[str, Any]) -> dict[str, Any]:
    heads = hf["num_attention_heads"]
    size = hf.get("head_dim") or hf["hidden_size"] // heads
    rope = hf["rope_parameters"]
    rope = rope.get("full_attention", rope)
    keys: dict[str, Any] = {
        "context_length": hf["max_position_embeddings"],
        "embedding_length": hf["hidden_size"],
        "feed_forward_length": hf["intermediate_size"],
        "block_count": hf["num_hidden_layers"],
        "attention.head_count": heads,
        "attention.head_count_kv": hf["num_key_value_heads"],
        "attention.key_length": size,
        "rope.dimension_count": int(size * rope.get("partial_rotary_factor", 1.0)),
        "rope.freq_base": float(rope["rope_theta"]),
        "attention.layer_norm_rms_epsilon": hf.get("rms_norm_eps"),
        "attention.layer_norm_epsilon": hf.get("layer_norm_eps"),
        "attention.sliding_window": hf.get("sliding_window"),
        "attn_logit_softcapping": hf.get("attn_logit_softcapping"),
        "final_logit_softcapping": hf.get("final_logit_softcapping"),
        "attention.scale": hf.get("attention_multiplier"),
        "embedding_scale": hf.get("embedding_multiplier"),
        "residual_scale": hf.get("residual_multiplier"),
        "logit_scale": hf.get("logits_scaling"),
    }
    if rope["rope_type"] == "linear":
        keys |= {"rope.scaling.type": "linear", "rope.scaling.factor": float(rope["factor"])}
    if rope["rope_type"] == "longrope":
        keys["rope.scaling.original_context_length"] = hf["original_max_position_embeddings"]
    return {"general.architecture": arch, **{f"{arch}.{key}": value for key, value in keys.items()}}


def as_stored(arch: str, name: str, values: np.ndarray, hf: dict[str, Any]) -> np.ndarray:
    known = ARCHITECTURES[arch]
    if known.norm_offset and name.endswith("norm.weight"):
        return values + 1
    projection = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
    heads = next((hf[key] for part, key in projection.items() if part in name), None)
    if not known.permuted or heads is None:
        return values
    pairs = values.reshape(heads, 2, len(values) // heads // 2, *values.shape[1:])
    return pairs.swapaxes(1, 2).reshape(values.shape)


def stored_name(arch: str, name: str) -> str:
    """Search the names that are read for the one that gives this name."""
    import gguf

    index = name.split(".")[2] if ".layers." in name else "0"
    number = next(key for key, known in gguf.MODEL_ARCH_NAMES.items() if known == arch)
    bases = [gguf.TENSOR_NAMES[one].format(bid=index) for one in gguf.MODEL_TENSORS[number]]
    leaf = name.rpartition(".")[2]
    (found,) = [base for base in bases if hf_name(f"{base}.{leaf}", arch) == name]
    return f"{found}.{leaf}"


def write(model: Reference, arch: str, path) -> None:
    hf, tensors = model.hf_config, {}
    for name, value in model.model.state_dict().items():
        if not (hf["tie_word_embeddings"] and name == "lm_head.weight"):
            stored = as_stored(arch, name, value.numpy(), hf)
            tensors[stored_name(arch, name)] = np.ascontiguousarray(stored)
    rope = hf["rope_parameters"]
    if "long_factor" in rope:
        tensors[LONG_FACTORS] = np.array(rope["long_factor"], np.float32)
        tensors[SHORT_FACTORS] = np.array(rope["short_factor"], np.float32)
    write_gguf(path, metadata(arch, hf), tensors, "F32")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_file_gives_the_logits_of_transformers(arch, tmp_path):
    model = fixed(arch, **OWN.get(arch, {}))
    write(model, arch, tmp_path / "model.gguf")
    source = open_gguf_source(tmp_path / "model.gguf")
    family = family_for(source.hf_config)
    config = family.config(source.hf_config)
    decoder = load_decoder(config, family, source, positions=TOTAL)
    ids = tokens(TOTAL)
    found = through_the_cache(decoder, ids, 0)
    assert (found - model.logits(ids)[PROMPT - 1 :]).abs().max() <= LIMIT
