"""Batch norms that become part of the convolution before them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slmdeploy.errors import ExportError
from slmdeploy.export.coreml.norms import fold_batch_norms


def filled(module):
    """Weights and statistics that say something."""
    generator = torch.Generator().manual_seed(0)
    for value in (*module.parameters(), *module.buffers()):
        if value.is_floating_point():
            value.data.uniform_(0.2, 1.5, generator=generator)
    return module.eval()


def folded(module, x, *, core=True):
    program = torch.export.export(module, (x,), strict=False)
    program = program.run_decompositions(None if core else {})
    fold_batch_norms(program)
    program.validate()
    return program


def norms_in(program):
    return [node for node in program.graph.nodes if "batch_norm" in str(node.target)]


class Shared(nn.Module):
    """One convolution twice, each time with a norm of its own."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.first, self.second = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.first(self.convolution(x)) + self.second(self.convolution(x))


class Functional(nn.Module):
    """A norm whose numbers are no part of the state."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        for name in ("mean", "variance", "gain", "shift"):
            self.register_buffer(name, torch.ones(4), persistent=False)

    def forward(self, x):
        own = (self.mean, self.variance, self.gain, self.shift)
        return nn.functional.batch_norm(self.convolution(x), *own)


class Seen(nn.Module):
    """What the convolution gives is used a second time."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        found = self.convolution(x)
        return self.norm(found) + found


@pytest.mark.parametrize("core", [True, False], ids=["core", "traced"])
@pytest.mark.parametrize(
    ("convolution", "norm", "shape"),
    [
        (nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), (1, 3, 8, 8)),
        (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), (1, 3, 8, 8)),
        (nn.Conv2d(4, 8, 3, groups=4), nn.BatchNorm2d(8), (1, 4, 8, 8)),
        (nn.Conv1d(3, 4, 3, stride=2), nn.BatchNorm1d(4), (1, 3, 8)),
        (nn.Conv3d(3, 4, 3, bias=False), nn.BatchNorm3d(4), (1, 3, 8, 8, 8)),
    ],
    ids=["plain", "bias", "groups", "1d", "3d"],
)
def test_a_convolution_takes_its_norm_in(convolution, norm, shape, core):
    module, x = filled(nn.Sequential(convolution, norm)), torch.rand(shape)
    program = folded(module, x, core=core)
    assert norms_in(program) == []
    wanted = module(x)
    found = program.module()(x)
    torch.testing.assert_close(found, wanted, atol=0, rtol=2e-3)  # float16's steps
    assert len(program.constants) == 2
    for value in program.constants.values():
        assert torch.equal(value, value.half().float())


@pytest.mark.parametrize(
    "module",
    [Shared(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False)), Functional()],
    ids=["shared", "without weights", "not persistent"],
)
def test_weights_may_be_shared_missing_or_not_persistent(module):
    module, x = filled(module), torch.rand(1, 3, 8, 8)
    program = folded(module, x)
    assert norms_in(program) == []
    torch.testing.assert_close(program.module()(x), module(x), atol=0, rtol=2e-3)


@pytest.mark.parametrize(
    "module",
    [
        Seen(),
        nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.BatchNorm2d(4)),
        nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)),
    ],
    ids=["seen", "transposed", "no convolution"],
)
def test_other_norms_stay(module):
    module, x = filled(module), torch.rand(1, 3, 8, 8)
    program = folded(module, x)
    assert norms_in(program)
    torch.testing.assert_close(program.module()(x), module(x))


def test_the_module_is_left_as_it_is():
    module = filled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    folded(module, torch.rand(1, 3, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_product_beyond_float16_is_refused():
    module = filled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    module[1].weight.data.fill_(1e6)
    with pytest.raises(
        ExportError,
        match=r"weight with the batch norm after it has a value of .*beyond float16's 65504",
    ):
        folded(module, torch.rand(1, 3, 8, 8))
