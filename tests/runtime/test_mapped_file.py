"""Weights that the delegate never packs are still there after it let its data go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from slmdeploy.export.executorch.lowering import StageLowering
from slmdeploy.export.executorch.program import Method, assemble, write_program
from tests.runtime.conftest import Run

WIDTH = 4096
"""Wide enough that the factors fill whole pages of the file."""


class Scaled(nn.Module):
    """Weights that are packed, then factors that are not, as in a norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.linear = nn.Linear(8, WIDTH, bias=False)
        self.factors = nn.Parameter(torch.randn(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.factors


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program by our own exporter, which brings all constants into the delegate."""
    path, x = tmp_path_factory.mktemp("scaled") / "scaled.pte", torch.zeros(1, 8)
    stage = StageLowering().lower(Scaled().eval(), (x,))
    methods = {"forward": Method(stage, (x,), ("x",), ("y",))}
    write_program(assemble(methods, {}), path)
    return path


@pytest.mark.parametrize("flags", [(), ("--no-shared-weights",)])
def test_factors_outlive_the_loading_of_a_method(
    run: Run, scaled: Path, flags: tuple[str, ...], tmp_path: Path
) -> None:
    x = torch.linspace(-1, 1, 8)[None]
    (tmp_path / "x.bin").write_bytes(x.numpy().tobytes())
    argv = ["--method", "forward", "--input", str(tmp_path / "x.bin"), "--runs", "3"]
    ran = run(scaled, "invoke", *argv, "--output-dir", str(tmp_path), *flags)
    assert ran.code == 0, ran.events[-1:]
    found = np.fromfile(ran.of("output")[0]["file"], "<f4")
    wanted = Scaled()(x).detach().numpy()[0]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
