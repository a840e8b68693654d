from __future__ import annotations

import pytest

from slmdeploy.model.families import family_for
from slmdeploy.model.gguf_families import ARCHITECTURES
from slmdeploy.model.gguf_names import hf_name


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output.weight", "lm_head.weight"),
        ("blk.11.attn_q.bias", "model.layers.11.self_attn.q_proj.bias"),
        ("blk.0.attn_k_norm.weight", "model.layers.0.self_attn.k_norm.weight"),
        ("blk.0.ffn_gate_exps.weight", None),
        ("blk.x.attn_q.weight", None),
        ("rope_freqs.weight", None),
    ],
)
def test_names(name, wanted):
    assert hf_name(name) == wanted


@pytest.mark.parametrize(
    ("arch", "name", "wanted"),
    [
        ("gemma2", "ffn_norm", "pre_feedforward_layernorm"),
        ("gemma3", "post_ffw_norm", "post_feedforward_layernorm"),
        ("olmo2", "post_attention_norm", "post_attention_layernorm"),
        ("phi3", "ffn_up", "mlp.gate_up_proj"),
        ("phi3", "attn_qkv", "self_attn.qkv_proj"),
        ("llama", "attn_qkv", None),
        ("llama", "post_ffw_norm", None),
    ],
)
def test_some_architectures_name_their_layers_otherwise(arch, name, wanted):
    found = hf_name(f"blk.3.{name}.weight", arch)
    assert found == (wanted and f"model.layers.3.{wanted}.weight")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_tensor_of_an_architecture_has_the_name_that_its_family_asks_for(arch):
    import gguf

    number = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
    names = [gguf.TENSOR_NAMES[one].format(bid=0) for one in gguf.MODEL_TENSORS[number]]
    found = {hf_name(f"{name}.{leaf}", arch) for name in names for leaf in ("weight", "bias")}
    family = family_for({"model_type": ARCHITECTURES[arch].model_type})
    wanted = {f"model.layers.0.{name}" for name in family.layer_names.values()}
    assert wanted | set(family.top_names.values()) <= found | {"lm_head.weight"}
