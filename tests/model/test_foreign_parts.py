from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from slmdeploy.model.decoder import LayerNorm, RMSNorm
from slmdeploy.model.foreign_parts import apart, make_exportable, plain_linears
from tests.model.families.foreign import random_model

X = torch.randn(1, 5, 64, generator=torch.Generator().manual_seed(1))


def parts(model: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [part for part in model.modules() if isinstance(part, kind)]


def test_a_transposed_layer_becomes_a_linear_one_that_gives_the_same():
    model = random_model("gpt2")
    before = model.transformer.h[0].attn.c_attn(X)
    plain_linears(model)
    assert not parts(model, Conv1D)
    assert torch.allclose(model.transformer.h[0].attn.c_attn(X), before, atol=1e-6)


def test_a_tied_head_has_a_weight_of_its_own_in_the_same_memory():
    model = random_model("gpt2")
    assert apart(model) == "lm_head"
    table = model.transformer.wte.weight
    assert model.lm_head.weight is not table
    assert model.lm_head.weight.data_ptr() == table.data_ptr()


@pytest.mark.parametrize(
    ("family", "kind"), [("gpt2", LayerNorm), ("gemma", RMSNorm), ("nemotron", LayerNorm)]
)
def test_norms_are_ours_afterwards_whatever_is_added_to_their_weights(family, kind):
    model = random_model(family)
    count = sum("norm" in type(part).__name__.lower() for part in model.modules())
    make_exportable(model, 16)
    assert sum(type(part) is kind for part in model.modules()) == count


def test_a_norm_that_computes_something_else_is_left_alone():
    class OddNorm(nn.LayerNorm):
        def forward(self, x):
            return super().forward(x) + 0.1

    model = nn.Sequential(OddNorm(8))
    make_exportable(model, 16)
    assert type(model[0]) is OddNorm
