from __future__ import annotations

import pytest
import torch

from slmdeploy.errors import ModelReadError
from slmdeploy.model.load import load_decoder
from tests.model.reference import MemorySource, Reference, reference

LAYER = "model.layers.1."


def load(model: Reference, tensors: dict[str, torch.Tensor], positions: int = 8):
    return load_decoder(model.config, model.family, MemorySource(tensors), positions=positions)


def changed(model: Reference, **tensors: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """The checkpoint with tensors replaced, or left out where they are ``None``."""
    merged = {**model.source.tensors, **tensors}
    return {name: value for name, value in merged.items() if value is not None}


def test_every_weight_is_float32_on_the_host_and_needs_no_gradient():
    model = reference("qwen3")
    halves = {name: value.to(torch.bfloat16) for name, value in model.source.tensors.items()}
    decoder = load(model, halves)
    found = [*decoder.parameters(), *decoder.buffers()]
    assert {tensor.device.type for tensor in found} == {"cpu"}
    assert {tensor.dtype for tensor in found} == {torch.float32}
    assert not any(tensor.requires_grad for tensor in found)
    assert not decoder.training


def test_the_joined_projections_stand_in_the_order_query_key_value():
    model = reference("qwen2")
    tensors, layer = model.source.tensors, load(model, model.source.tensors).layer_list()[1]
    for part in ("weight", "bias"):
        joined = [tensors[f"{LAYER}self_attn.{name}_proj.{part}"] for name in "qkv"]
        assert torch.equal(getattr(layer.qkv, part), torch.cat(joined))
    gate_up = [tensors[f"{LAYER}mlp.{name}_proj.weight"] for name in ("gate", "up")]
    assert torch.equal(layer.gate_up.weight, torch.cat(gate_up))


def test_norms_per_head_are_repeated_for_each_head():
    model = reference("qwen3")
    layer = load(model, model.source.tensors).layer_list()[0]
    query = model.source.tensors["model.layers.0.self_attn.q_norm.weight"]
    assert layer.qk_norm.weight.shape == (6, model.config.head_dim)
    assert torch.equal(layer.qk_norm.weight[3], query)


def test_a_tied_head_shares_the_memory_of_the_embedding():
    decoder = reference("llama", tie_word_embeddings=True).decoder()
    assert decoder.head.weight.data_ptr() == decoder.embedding.get_parameter("weight").data_ptr()


def test_a_tied_checkpoint_needs_no_head_and_ignores_one():
    model = reference("llama", tie_word_embeddings=True)
    head = torch.zeros(model.config.vocab_size, model.config.hidden_size)
    for tensors in (changed(model, **{"lm_head.weight": None}), {**model.source.tensors}):
        tensors.update({"lm_head.weight": head} if "lm_head.weight" in tensors else {})
        decoder = load(model, tensors)
        assert torch.equal(decoder.head.weight, decoder.embedding.get_parameter("weight"))


def test_an_untied_head_is_its_own():
    model = reference("llama")
    decoder = load(model, model.source.tensors)
    assert torch.equal(decoder.head.weight, model.source.tensors["lm_head.weight"])


def test_the_rotary_tables_cover_the_positions_asked_for():
    model = reference("llama")
    assert load(model, model.source.tensors, positions=13).cos.shape == (13, 1, 16)


@pytest.mark.parametrize(
    "name",
    [
        "lm_head.weight",
        "model.norm.weight",
        LAYER + "self_attn.k_proj.bias",
        LAYER + "mlp.up_proj.weight",
    ],
)
def test_a_missing_tensor_is_named(name):
    model = reference("qwen2")
    with pytest.raises(ModelReadError, match="lacks 1 of") as caught:
        load(model, changed(model, **{name: None}))
    assert repr(name) in str(caught.value)


def test_many_missing_tensors_are_counted():
    model = reference("llama")
    with pytest.raises(ModelReadError, match="lacks 30 of 30"):
        load(model, {})


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("model.embed_tokens.weight", "embedding.weight"),
        (LAYER + "self_attn.o_proj.weight", "layers.1.o.weight"),
        (LAYER + "mlp.down_proj.weight", "layers.1.down.weight"),
        (LAYER + "self_attn.v_proj.weight", "layers.1.qkv.weight"),
        ("model.norm.weight", "norm.weight"),
    ],
)
def test_a_wrong_shape_is_refused_with_the_one_that_is_wanted(name, ours):
    model = reference("llama")
    right = model.source.tensors[name]
    wrong = torch.cat([right, right[:1]])
    with pytest.raises(ModelReadError, match=f"'{ours}' has shape"):
        load(model, changed(model, **{name: wrong}))


@pytest.mark.parametrize("name", ["self_attn.q_proj.weight", "mlp.gate_proj.weight"])
def test_parts_that_cannot_be_joined_are_refused(name):
    model = reference("llama")
    right = model.source.tensors[LAYER + name]
    with pytest.raises(
        ModelReadError, match=r"'layers\.1\.\w+\.weight' has shapes that do not fit"
    ):
        load(model, changed(model, **{LAYER + name: right[:, :-1]}))


def test_norms_per_head_of_another_width_are_refused():
    model = reference("qwen3")
    with pytest.raises(ModelReadError, match=r"qk_norm\.weight' has shapes that do not fit"):
        load(model, changed(model, **{LAYER + "self_attn.k_norm.weight": torch.ones(8)}))
