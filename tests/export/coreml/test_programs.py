"""Modules as the programs that coremltools is given."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slmdeploy.errors import ExportError
from slmdeploy.export.coreml.programs import exported_for_coreml, require_stateless
from tests.export.coreml.modules import Positioned


class Pooled(nn.Module):
    """Pools to one value where channels come last in memory."""

    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), 1).flatten(1)


class Rearranged(nn.Module):
    """Reads the same numbers in another order."""

    def forward(self, x):
        return x.as_strided((3, 4), (1, 3))


class Elsewhere(nn.Module):
    """Begins where the numbers of all begin, not where those of the part do."""

    def forward(self, x):
        return x[1:].as_strided((2, 4), (4, 1), 0)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.ones(1))

    def forward(self, x):
        return x * self.count.add_(1)


def operators(program):
    return {
        str(node.target).split(".")[1] for node in program.graph.nodes if "." in str(node.target)
    }


def test_pooling_where_channels_come_last_is_a_mean():
    x = torch.rand(1, 5, 6, 7)
    program = exported_for_coreml(Pooled(), (x,))
    assert "as_strided" not in operators(program)
    torch.testing.assert_close(program.module()(x), Pooled()(x))


@pytest.mark.parametrize("module", [Rearranged(), Elsewhere()], ids=["order", "beginning"])
def test_strides_that_rearrange_stay(module):
    x = torch.rand(3, 4)
    program = exported_for_coreml(module, (x,))
    assert "as_strided" in operators(program)
    assert torch.equal(program.module()(x), module(x))


def written_in_part(x):
    found = torch.full((5,), 0.3)
    found[1:3] = x[1:3]
    return found * x


def written_once(x):
    found = torch.zeros(5)
    found[1] = 0.3
    return x + found


@pytest.mark.parametrize("core", [True, False])
@pytest.mark.parametrize("compute", [written_in_part, written_once])
def test_what_is_written_in_place_is_read_afterwards(compute, core):
    class Module(nn.Module):
        def forward(self, x):
            return compute(x)

    x = torch.linspace(1, 2, 5)
    program = exported_for_coreml(Module(), (x,), core=core)
    torch.testing.assert_close(program.module()(x), compute(x), atol=1e-3, rtol=0)


@pytest.mark.parametrize("core", [True, False])
def test_a_buffer_that_changes_is_refused_and_left(core):
    module = Counting()
    program = exported_for_coreml(module, (torch.ones(4),), core=core)
    with pytest.raises(ExportError, match=r"The model changes count, which a function of Core ML"):
        require_stateless(program)
    assert module.count.tolist() == [1.0]


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
