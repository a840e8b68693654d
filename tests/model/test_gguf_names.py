from __future__ import annotations

import pytest

from slmdeploy.model.families import families
from slmdeploy.model.families.base import TOP_NAMES
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


def test_every_tensor_of_our_families_has_a_gguf_name():
    from slmdeploy.model import gguf_names

    parts = {*gguf_names._TOP.values()}
    parts |= {f"{p}.{leaf}" for p in gguf_names._LAYER.values() for leaf in ("weight", "bias")}
    wanted = {*TOP_NAMES.values()}
    wanted |= {name for family in families().values() for name in family.layer_names.values()}
    assert wanted <= parts
