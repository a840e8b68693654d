from __future__ import annotations

import pytest

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.families.llama import LLAMA
from tests.model.reference import LLAMA3, reference


def test_a_configuration_of_transformers_is_read():
    config = LLAMA.config(reference("llama", rope_parameters=LLAMA3).hf_config)
    assert (config.family, config.heads, config.kv_heads, config.head_dim) == ("llama", 4, 2, 16)
    assert (config.qkv_bias, config.qk_norm, config.rope_theta) == (False, False, 500.0)
    assert config.rope_scaling["rope_type"] == "llama3"


@pytest.mark.parametrize("switch", ["attention_bias", "mlp_bias"])
def test_biases_are_refused_by_the_name_of_their_switch(switch):
    with pytest.raises(UnsupportedModelError, match=f"{switch} = true"):
        LLAMA.config({**reference("llama").hf_config, switch: True})
