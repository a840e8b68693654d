from __future__ import annotations

import pytest

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.families.qwen2 import QWEN2
from tests.model.reference import reference


def test_a_configuration_of_transformers_is_read_with_its_biases():
    config = QWEN2.config(reference("qwen2").hf_config)
    assert (config.family, config.qkv_bias, config.qk_norm) == ("qwen2", True, False)
    names = QWEN2.tensor_names(config)
    assert names["layers.0.k.bias"] == "model.layers.0.self_attn.k_proj.bias"


def test_a_sliding_window_is_refused_by_the_name_of_its_switch():
    with pytest.raises(UnsupportedModelError, match="use_sliding_window = true"):
        QWEN2.config({**reference("qwen2").hf_config, "use_sliding_window": True})
