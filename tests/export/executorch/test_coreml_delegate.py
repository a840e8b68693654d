"""The Core ML delegate is unpacked from the .pte, and its package computes what torch does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from slmdeploy.compress.quantize import compress
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.errors import ExportError
from slmdeploy.export.coreml.carry import carry
from slmdeploy.export.coreml.plain import plain_decoder
from slmdeploy.export.coreml.steps import DecoderStep, step_inputs
from slmdeploy.export.executorch.coreml_delegate import lower_to_coreml, unpacked_delegate
from slmdeploy.export.mil.evaluate import Evaluator
from slmdeploy.export.mil.package import open_package
from slmdeploy.target.recipes import fitted
from tests.export.coreml.test_carry import decoder

TOKENS = (5, 9, 17)
RECIPES = {"fp16": None, "w4-g32": "constexpr_blockwise_shift_scale", "palette4": "constexpr_lut"}


def call(token: int, place: int) -> dict[str, torch.Tensor]:
    return {"ids": torch.tensor([[token]]).int(), "position": torch.tensor([place]).int()}


@pytest.mark.parametrize(
    "name", ["w4-g32", *(pytest.param(n, marks=pytest.mark.slow) for n in ("fp16", "palette4"))]
)
def test_the_inner_package_computes_what_the_compressed_model_does(name, tmp_path):
    model = compress(decoder(), fitted("coreml", BUILTIN_RECIPES[name]))
    plain = plain_decoder(model)
    step = DecoderStep(plain, "onehot", states=True, last=False).eval()
    with torch.no_grad():
        expected = [step(*call(token, place).values()) for place, token in enumerate(TOKENS)]
    step.k_cache.zero_()
    step.v_cache.zero_()
    carry(plain, model)
    lowered = lower_to_coreml(step, step_inputs(1, last=False))
    with (tmp_path / "model.pte").open("wb") as file:
        lowered.to_executorch().write_to_file(file)
    package = open_package(unpacked_delegate(tmp_path / "model.pte", tmp_path))
    kinds = {one.kind for one in package.functions["main"].operations}
    assert RECIPES[name] is None or any(kind.startswith(RECIPES[name]) for kind in kinds)
    evaluator = Evaluator(package)
    for place, (token, wanted) in enumerate(zip(TOKENS, expected, strict=True)):
        inputs = {key: value.numpy() for key, value in call(token, place).items()}
        (given,) = evaluator.run("main", inputs).values()
        assert np.abs(given - wanted.numpy()).max() <= 1e-5


class Diagonal(nn.Module):
    """Core ML's partitioner leaves this operator outside."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.diagonal_copy(x + 1) * 2


def test_what_stays_outside_the_delegate_is_refused_by_name():
    with pytest.raises(ExportError, match=r"stayed outside the Core ML delegate: .*diagonal"):
        lower_to_coreml(Diagonal(), {"x": torch.ones(3, 3)})


def test_a_file_without_the_delegate_is_refused(tmp_path):
    from executorch.exir import to_edge

    program = to_edge(torch.export.export(nn.ReLU(), (torch.ones(2),))).to_executorch()
    (tmp_path / "plain.pte").write_bytes(program.buffer)
    with pytest.raises(ExportError, match="no single delegate CoreMLBackend"):
        unpacked_delegate(tmp_path / "plain.pte", tmp_path)
