"""The forms that replace operators whose bits depend on the processor."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from slmdeploy.export.executorch.arithmetic import (
    SteadyLinear,
    SteadyRMSNorm,
    steady_layers,
    steady_operators,
)
from slmdeploy.model.decoder import RMSNorm
from tests.export.executorch.tiny import decoder

SPREAD = torch.logspace(-12, 12, 4001)
SIGNED = torch.cat([-SPREAD[SPREAD < 80], SPREAD[SPREAD < 80]])


class Apply(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def steady(function, x):
    """What a traced function gives once its operators are written out, and which these are."""
    program = steady_operators(torch.export.export(Apply(function), (x,)))
    operators = {str(n.target) for n in program.graph.nodes if n.op == "call_function"}
    return program.module()(x), operators


@pytest.mark.parametrize(
    ("function", "inputs", "atol", "rtol"),
    [
        pytest.param(torch.rsqrt, SPREAD, 0, 3e-7, id="rsqrt"),
        pytest.param(torch.sigmoid, SIGNED, 2e-7, 0, id="sigmoid"),
        # Of a product with x, so relative; exp's own error is relative to its argument.
        pytest.param(functional.silu, SIGNED, 0, 1e-5, id="silu"),
    ],
)
def test_the_form_is_the_function(function, inputs, atol, rtol):
    found, operators = steady(function, inputs)
    torch.testing.assert_close(found.double(), function(inputs.double()), atol=atol, rtol=rtol)
    assert f"aten.{function.__name__}.default" not in operators


def test_silu_far_from_zero_is_zero_or_its_argument():
    found, _ = steady(functional.silu, torch.tensor([-3e38, -200.0, 200.0, 3e38]))
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, 200.0, 3e38]), atol=0, rtol=0)


def test_other_operators_are_left():
    _, operators = steady(lambda x: functional.gelu(torch.tanh(x)), torch.ones(2, 3))
    assert operators == {"aten.tanh.default", "aten.gelu.default"}


@pytest.mark.parametrize("groups", [None, 3])
def test_a_steady_norm_is_the_norm(groups):
    norm = RMSNorm(40, 1e-5, groups)
    norm.weight.normal_(generator=torch.Generator().manual_seed(0))
    x = torch.randn(5, 3, 40, generator=torch.Generator().manual_seed(1)) * 50
    torch.testing.assert_close(SteadyRMSNorm(norm)(x), norm(x), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("bias", [True, False])
def test_a_steady_linear_layer_is_the_layer(rows, bias):
    linear = nn.Linear(40, 24, bias=bias)
    x = torch.randn(rows, 40, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(SteadyLinear(linear)(x), linear(x), atol=1e-6, rtol=1e-6)


def test_a_lone_row_is_never_multiplied_alone():
    program = torch.export.export(SteadyLinear(nn.Linear(40, 24)), (torch.zeros(1, 40),))
    (product,) = [n for n in program.graph.nodes if str(n.target) == "aten.linear.default"]
    assert tuple(product.meta["val"].shape) == (2, 24)


@pytest.mark.parametrize("linear", [True, False])
def test_the_layers_of_a_decoder_are_exchanged_and_keep_their_weights(linear):
    module = decoder(qk_norm=True)
    before = dict(module.named_parameters())
    steady_layers(module, linear=linear)
    kinds = {type(part) for part in module.modules()}
    assert SteadyRMSNorm in kinds
    assert RMSNorm not in kinds
    assert (SteadyLinear in kinds, nn.Linear in kinds) == (linear, not linear)
    assert dict(module.named_parameters()) == before
    assert module.head.weight is module.embedding.weight
