"""Modules as the programs that coremltools is given."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slmdeploy.export.coreml.programs import exported_for_coreml
from tests.export.coreml.modules import Positioned


class Pooled(nn.Module):
    """Pools to one value where channels come last in memory."""

    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), 1).flatten(1)


class Rearranged(nn.Module):
    """Reads the same numbers in another order."""

    def forward(self, x):
        return x.as_strided((3, 4), (1, 3))


def operators(program):
    return {
        str(node.target).split(".")[1] for node in program.graph.nodes if "." in str(node.target)
    }


def test_pooling_where_channels_come_last_is_a_mean():
    x = torch.rand(1, 5, 6, 7)
    program = exported_for_coreml(Pooled(), (x,))
    assert "as_strided" not in operators(program)
    torch.testing.assert_close(program.module()(x), Pooled()(x))


def test_strides_that_rearrange_stay():
    x = torch.rand(3, 4)
    program = exported_for_coreml(Rearranged(), (x,))
    assert "as_strided" in operators(program)
    assert torch.equal(program.module()(x), Rearranged()(x))


@pytest.mark.parametrize("core", [True, False])
def test_a_program_has_no_norm_and_no_division(core):
    x = torch.linspace(-2, 2, 40).reshape(1, 4, 10)
    module = Positioned().eval()
    program = exported_for_coreml(module, (x,), core=core)
    program.validate()
    assert operators(program).isdisjoint(
        {"div", "batch_norm", "_native_batch_norm_legit_no_training"}
    )
    torch.testing.assert_close(program.module()(x)[0], module(x)[0], atol=0.05, rtol=0)
