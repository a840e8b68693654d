from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, dequantize, quantize

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.gguf_source import open_gguf_source

DOWN = "model.layers.1.mlp.down_proj.weight"


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_the_checkpoint_comes_back_bit_by_bit(gguf_file, tiny, family, tied):
    model = tiny(family=family, tied=tied)
    source = open_gguf_source(gguf_file(model))
    assert source.names() == tuple(sorted(model.weights))
    for name in source.names():
        assert source.shape(name) == tuple(model.weights[name].shape)
        assert torch.equal(source.load(name), model.weights[name]), name
    assert source.quantization is None


def test_biases_of_a_llama_are_put_in_order_too(gguf_file, tiny):
    model = tiny()
    for i in range(2):
        model.weights[f"model.layers.{i}.self_attn.q_proj.bias"] = torch.arange(64.0)
    source = open_gguf_source(gguf_file(model))
    assert torch.equal(source.load("model.layers.0.self_attn.q_proj.bias"), torch.arange(64.0))
    assert source.hf_config["attention_bias"] is True


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0"])
def test_each_type_is_dequantized_as_the_gguf_package_does(gguf_file, tiny, kind):
    model = tiny()
    source = open_gguf_source(gguf_file(model, kind=kind))
    number = GGMLQuantizationType[kind]
    wanted = dequantize(quantize(model.weights[DOWN].numpy(), number), number)
    assert np.array_equal(source.load(DOWN).numpy(), wanted)
    assert source.dtype("model.norm.weight") == "float32"
    assert source.nbytes(DOWN) == quantize(model.weights[DOWN].numpy(), number).nbytes
    assert source.quantization == (kind if kind.startswith("Q") else None)


def test_a_loaded_tensor_is_the_callers_own(gguf_file):
    source = open_gguf_source(gguf_file())
    source.load(DOWN).zero_()
    assert source.load(DOWN).abs().sum() > 0


def test_values_that_are_not_finite_are_found_when_loading(gguf_file, tiny):
    model = tiny()
    model.weights[DOWN][0, 0] = math.nan
    source = open_gguf_source(gguf_file(model))
    with pytest.raises(ModelReadError, match="1 of 6144 values that are NaN"):
        source.load(DOWN)


def test_tensors_of_another_family_are_named(gguf_file):
    extra = {"blk.0.ffn_gate_inp.weight": np.zeros((4, 64), np.float32)}
    with pytest.raises(UnsupportedModelError, match=r"'blk\.0\.ffn_gate_inp\.weight'"):
        open_gguf_source(gguf_file(extra_tensors=extra))


def test_an_unknown_tensor_is_named(gguf_file):
    with pytest.raises(ModelReadError, match="no tensor 'nothing'"):
        open_gguf_source(gguf_file()).load("nothing")


def test_a_type_that_cannot_be_dequantized_is_named(gguf_file, monkeypatch):
    source = open_gguf_source(gguf_file(kind="Q4_0"))

    def refuse(*_):
        raise NotImplementedError

    monkeypatch.setattr("gguf.dequantize", refuse)
    with pytest.raises(ModelReadError, match="is Q4_0, which the gguf package cannot dequantize"):
        source.load(DOWN)
