"""Two silent miscompiles of weight-only torchao tensors: the ladder sees what no error tells.

A module that still holds such tensors (``IntxUnpackedToInt8Tensor``, ``Int8Tensor``) is
traced, lowered and run without a word; the integers become float32 weights, and their
scales are lost. What our exporter makes of the same layers is in ``test_recipes.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from slmdeploy.compress.quantize import quiet_torchao
from slmdeploy.export.executorch.lowering import quiet_lowering
from slmdeploy.verify.ladder import Rung, climb

INPUT = torch.randn(8, 64, generator=torch.Generator().manual_seed(2))


def intx(dtype: torch.dtype):
    from torchao.quantization import PerAxis
    from torchao.quantization.quant_api import IntxWeightOnlyConfig

    return IntxWeightOnlyConfig(weight_dtype=dtype, granularity=PerAxis(0))


def int8():
    from torchao.quantization.quant_api import Int8WeightOnlyConfig

    return Int8WeightOnlyConfig()


def quantized(config) -> nn.Module:
    from torchao.quantization import quantize_

    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(64, 64, bias=False), nn.Linear(64, 32, bias=False)).eval()
    with quiet_torchao():
        quantize_(module, config())
    return module


def run_as_the_wheel_lowers_it(module: nn.Module, path: Path) -> torch.Tensor:
    """Through ExecuTorch's own partitioner, with nothing of ours between."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    with quiet_lowering(), torch.no_grad():
        exported = torch.export.export(module, (INPUT,), strict=False)
        edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        path.write_bytes(edge.to_executorch().buffer)
    return Runtime.get().load_program(path).load_method("forward").execute((INPUT,))[0].clone()


@pytest.mark.parametrize(
    ("config", "precision"),
    [
        pytest.param(lambda: intx(torch.int4), "int4", id="IntxWeightOnly int4"),
        pytest.param(lambda: intx(torch.int8), "int8", id="IntxWeightOnly int8"),
        pytest.param(int8, "int8", id="Int8WeightOnly"),
    ],
)
def test_the_ladder_names_the_rung_at_which_a_lost_scale_shows(config, precision, tmp_path):
    module = quantized(config)
    with torch.no_grad():
        eager = module(INPUT)
    lowered = run_as_the_wheel_lowers_it(module, tmp_path / "model.pte")
    rungs = [
        Rung("compressed", "compressed", eager.numpy),
        Rung("artifact", "artifact", lowered.numpy),
        Rung("device", "device", lowered.numpy),
    ]
    results = climb(rungs, precision=precision, model="generic")
    assert [(result.name, result.status) for result in results] == [
        ("compressed", "report"),
        ("artifact", "fail"),
        ("device", "absent"),
    ]
    # Far beyond what quantization does: the outputs are too large by the lost scales.
    assert results[1].metrics["snr_db"] < -40
