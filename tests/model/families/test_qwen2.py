from __future__ import annotations

from slmdeploy.model.families.qwen2 import QWEN2
from tests.model.reference import reference


def test_a_configuration_of_transformers_is_read_with_its_biases():
    config = QWEN2.config(reference("qwen2").hf_config)
    assert (config.family, config.qkv_bias, config.qk_norm) == ("qwen2", True, False)
    names = QWEN2.tensor_names(config)
    assert names["layers.0.k.bias"] == "model.layers.0.self_attn.k_proj.bias"


def test_the_window_begins_with_the_layer_that_max_window_layers_names():
    keys = {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1}
    config = QWEN2.config({**reference("qwen2").hf_config, **keys, "layer_types": None})
    assert config.windows == (None, 9, 9)
    assert QWEN2.config(reference("qwen2").hf_config).windows == ()
