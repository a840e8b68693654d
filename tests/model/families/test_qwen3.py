from __future__ import annotations

import pytest

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.families.qwen3 import QWEN3
from tests.model.reference import reference


def test_a_configuration_of_transformers_is_read_with_its_norms_per_head():
    config = QWEN3.config(reference("qwen3", head_dim=24).hf_config)
    assert (config.family, config.qkv_bias, config.qk_norm) == ("qwen3", False, True)
    assert config.head_dim == 24
    names = QWEN3.tensor_names(config)
    assert names["layers.2.k_norm.weight"] == "model.layers.2.self_attn.k_norm.weight"


def test_without_head_dim_it_is_128_as_in_transformers():
    hf_config = reference("qwen3", head_dim=24).hf_config
    del hf_config["head_dim"]
    assert QWEN3.config(hf_config).head_dim == 128


def test_biases_are_refused_by_the_name_of_their_switch():
    with pytest.raises(UnsupportedModelError, match="attention_bias = true"):
        QWEN3.config({**reference("qwen3").hf_config, "attention_bias": True})
