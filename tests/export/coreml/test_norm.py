"""The norm for float16: the same numbers, and no overflow."""

from __future__ import annotations

import pytest
import torch

from slmdeploy.export.coreml.norm import HalfRMSNorm
from slmdeploy.model.decoder import RMSNorm


@pytest.mark.parametrize("scale", [1e-5, 1e-3, 1.0, 300.0, 22500.0])
def test_it_gives_what_the_plain_norm_gives(scale):
    plain = RMSNorm(64, 1e-5)
    plain.weight.normal_(generator=torch.Generator().manual_seed(1))
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(2)) * scale
    found = HalfRMSNorm(plain.weight, plain.eps)(x)
    torch.testing.assert_close(found, plain(x), rtol=2e-6, atol=1e-6)


def test_in_float16_states_as_large_as_smollm2s_do_not_overflow():
    """With the plain norm the square of 22,500 is infinite, and the row becomes zero."""
    plain = RMSNorm(64, 1e-5)
    x = torch.randn(1, 64, generator=torch.Generator().manual_seed(2))
    x[0, 3] = 22500.0
    wanted = plain(x)
    half = x.half()
    assert bool(torch.isinf(half * half).any())
    found = HalfRMSNorm(plain.weight, plain.eps).half()(half)
    assert abs(found.float() - wanted).max() <= 5e-3
    assert found[0, 3] > 7


def test_a_row_of_zeros_stays_zero():
    assert not HalfRMSNorm(torch.ones(8), 1e-6)(torch.zeros(2, 8)).any()
