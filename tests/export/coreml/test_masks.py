"""Numbers that stand for a place that is not seen."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slmdeploy.export.coreml.masks import FLOOR, LOWEST, keep_masks_finite

LOW = torch.finfo(torch.float32).min


def exported(compute, x):
    class Module(nn.Module):
        def forward(self, x):
            return compute(x)

    return torch.export.export(Module(), (x,), strict=False)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: torch.where(x > 0, x, LOW),
        lambda x: x.masked_fill(x <= 0, LOW),
        lambda x: torch.where(x > 0, x, torch.tensor(LOW)),
        lambda x: torch.where(x > 0, x, torch.full((3,), LOW)),
    ],
    ids=["where", "masked_fill", "a constant", "full"],
)
def test_the_lowest_float32_becomes_a_low_float16(compute):
    program = exported(compute, torch.tensor([-1.0, 0.0, 1.0]))
    keep_masks_finite(program)
    (found,) = (program.module()(torch.tensor([-1.0, 0.0, 1.0])),)
    assert found.tolist() == [FLOOR, FLOOR, 1.0]


def test_two_masks_together_are_within_float16():
    assert 2 * FLOOR >= LOWEST


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: x.clamp(min=LOW),
        lambda x: torch.where(x > 0, x, float("-inf")),
        lambda x: torch.where(x > 0, x, LOWEST),
        lambda x: torch.where(x > 0, x, -LOW),
    ],
    ids=["a bound", "minus infinity", "the lowest float16", "a large number"],
)
def test_other_numbers_stay(compute):
    x = torch.tensor([-40_000.0, 1.0])
    program = exported(compute, x)
    keep_masks_finite(program)
    assert torch.equal(program.module()(x), compute(x))
