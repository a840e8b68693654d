from __future__ import annotations

import logging
import sys
import warnings

import pytest
import torch
from torch import nn

from slmdeploy.compress.embedding import QuantizedEmbedding
from slmdeploy.compress.parts import parts_of
from slmdeploy.compress.quantize import compress, compress_linears, quiet_torchao
from slmdeploy.compress.recipe import (
    BUILTIN_RECIPES,
    EmbeddingSpec,
    LinearSpec,
    Recipe,
    load_recipe,
)
from slmdeploy.errors import MissingExtraError, RecipeError
from slmdeploy.model.attention import step_logits
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.decoder import Decoder

CONFIG = DecoderConfig(
    family="llama",
    vocab_size=80,
    hidden_size=64,
    intermediate_size=96,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=16,
    norm_eps=1e-5,
    rope_theta=10000.0,
    context=32,
    tied=True,
    qkv_bias=False,
    qk_norm=False,
)
PROMPT, CONTINUATION = torch.arange(10), torch.arange(20, 26)


def decoder() -> Decoder:
    module = Decoder(CONFIG, CONFIG.context)
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.requires_grad_(requires_grad=False)
        parameter.normal_(0.0, 0.2, generator=generator)
    module.head.weight = module.embedding.get_parameter("weight")
    return module.eval()


def logits(module: Decoder) -> torch.Tensor:
    return step_logits(module, PROMPT, CONTINUATION)


def snr_db(reference: torch.Tensor, found: torch.Tensor) -> float:
    return float(10 * torch.log10(reference.pow(2).sum() / (reference - found).pow(2).sum()))


def test_nothing_compressed_is_the_same_model():
    module, reference = decoder(), logits(decoder())
    compressed = compress(module, load_recipe("none"))
    assert compressed.module is module
    assert torch.equal(logits(module), reference)


@pytest.mark.parametrize(
    ("name", "least_db"),
    [
        *(("fp16", 60), ("w8", 35), ("8da8w", 30), ("w4", 10), ("8da4w", 10), ("8da4w-head8", 10)),
        *(("w4-g32", 10), ("palette8", 35), ("palette6", 20), ("palette4", 10), ("palette2", 1)),
    ],
)
def test_a_recipe_moves_the_logits_no_further_than_its_bits_do(name, least_db):
    reference = logits(decoder())
    found = logits(compress(decoder(), load_recipe(name)).module)
    assert least_db <= snr_db(reference, found) < 120


@pytest.mark.parametrize("name", BUILTIN_RECIPES)
def test_a_compressed_model_still_gives_float32(name):
    found = logits(compress(decoder(), load_recipe(name)).module)
    assert found.dtype == torch.float32
    assert found.isfinite().all()


@pytest.mark.parametrize("scheme", ["w4", "w8", "8da4w", "8da8w"])
def test_weights_are_off_by_half_a_step_at_most(scheme):
    layer = nn.Linear(64, 32, bias=False).requires_grad_(requires_grad=False)
    before, module = layer.weight.clone(), nn.Sequential(layer)
    compress_linears(module, {"0": layer}, LinearSpec(scheme=scheme))
    weight = module[0].weight
    off = (weight.dequantize() - before).abs()
    # Scales that were rounded to bfloat16 clip the extremes a little more.
    assert (off <= weight.scale.float() * (0.55 if scheme == "8da4w" else 0.501)).all()


def test_scales_of_4_bit_weights_are_rounded_as_xnnpack_keeps_them():
    module = compress(decoder(), load_recipe("8da4w")).module
    scales = module.layer_list()[0].down.weight.scale
    assert scales.shape == (64, 96 // 32)
    assert torch.equal(scales.to(torch.bfloat16).to(scales.dtype), scales)


def test_float16_rounds_to_the_nearest_and_stays_in_float32():
    reference, module = decoder(), compress(decoder(), load_recipe("fp16")).module
    for before, after in zip(reference.layer_list(), module.layer_list(), strict=True):
        assert after.o.weight.dtype == torch.float32
        assert torch.equal(after.o.weight, before.o.weight.half().float())


def test_a_weight_beyond_float16_is_refused_by_its_layer():
    module = decoder()
    module.layer_list()[1].down.weight[3, 3] = 70000.0
    with pytest.raises(RecipeError, match=r"'layers\.1\.down' has a weight of 7e\+04"):
        compress(module, load_recipe("fp16"))


def test_the_head_is_compressed_apart_from_the_body_and_from_a_tied_embedding():
    recipe = Recipe(name="apart", head=LinearSpec(scheme="8da8w"), embedding=EmbeddingSpec(bits=4))
    before, module = decoder(), compress(decoder(), recipe).module
    assert isinstance(module.embedding, QuantizedEmbedding)
    assert module.head.weight.target_dtype == torch.int8
    assert torch.equal(module.layer_list()[0].qkv.weight, before.layer_list()[0].qkv.weight)


def test_compressing_the_embedding_leaves_a_tied_head_as_it_was():
    before, module = decoder(), decoder()
    compress(module, Recipe(name="e", embedding=EmbeddingSpec(bits=2)))
    assert torch.equal(module.head.weight, before.head.weight)


def test_norms_are_never_compressed():
    before, module = decoder(), compress(decoder(), load_recipe("8da4w")).module
    assert torch.equal(module.norm.weight, before.norm.weight)


@pytest.mark.parametrize("part", ["body", "head"])
def test_groups_that_do_not_divide_a_layer_are_refused_by_its_name(part):
    recipe = Recipe(name="r", **{part: LinearSpec(scheme="8da4w", group_size=40)})
    name = {"body": "layers.0.qkv", "head": "head"}[part]
    with pytest.raises(RecipeError, match=f"'{name}' has 64 inputs.* groups of 40") as caught:
        compress(decoder(), recipe)
    assert "divides 64" in caught.value.hint


def test_without_torchao_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(MissingExtraError, match="8da8w"):
        compress(decoder(), load_recipe("8da8w"))


def test_the_quiet_ends_with_the_block():
    with quiet_torchao():
        assert not logging.getLogger("torchao").isEnabledFor(logging.WARNING)
        warnings.warn("not heard", stacklevel=1)
    assert logging.getLogger("torchao").isEnabledFor(logging.WARNING)
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


@pytest.mark.parametrize("name", ["none", "w8", "w4-g32", "palette4", "sparse50-w4"])
def test_all_floats_are_rounded_where_the_recipe_says_so(name):
    recipe = load_recipe(name).model_copy(update={"floats": "fp16"})
    module = compress(decoder(), recipe).module
    floats = {
        key: value
        for key, value in [*module.named_parameters(), *module.named_buffers()]
        if type(value) in {nn.Parameter, torch.Tensor} and key.split(".")[-1] != "mean"
    }
    assert {"cos", "sin", "norm.weight", "layers.0.mlp_norm.weight"} <= set(floats)
    for key, value in floats.items():
        if parts_of(module.get_submodule(key.rpartition(".")[0])) is None:
            assert torch.equal(value, value.half().float()), key
    assert snr_db(logits(compress(decoder(), load_recipe(name)).module), logits(module)) > 10


def test_a_norm_beyond_float16_is_refused_where_floats_are_rounded():
    module = decoder()
    module.norm.weight[0] = 1e6
    with pytest.raises(RecipeError, match=r"'norm\.weight'"):
        compress(module, load_recipe("none").model_copy(update={"floats": "fp16"}))


def test_a_tied_palette_is_one_for_both():
    module = compress(decoder(), load_recipe("palette4")).module
    head, table = parts_of(module.head), parts_of(module.embedding)
    assert torch.equal(head.values, table.values)
    assert torch.equal(head.table, table.table)
