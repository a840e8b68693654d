from __future__ import annotations

import pytest

from slmdeploy.errors import ModelReadError
from slmdeploy.model.checks import quantization_of, refuse_quantized


@pytest.mark.parametrize(
    ("config", "method"),
    [
        ({}, None),
        ({"quantization_config": None}, None),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "gptq"),
        ({"quantization_config": {"quant_method": "awq"}}, "awq"),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"quantization_config": {"quant_method": "torchao"}}, "torchao"),
        ({"compression_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"quantization_config": {}}, "unknown method"),
    ],
)
def test_the_method_of_a_quantized_checkpoint_is_known(config, method):
    assert quantization_of(config) == method


def test_a_quantized_checkpoint_is_refused_by_its_method():
    with pytest.raises(ModelReadError, match=r"here is already quantized \(gptq\)"):
        refuse_quantized({"quantization_config": {"quant_method": "gptq"}}, "here")
