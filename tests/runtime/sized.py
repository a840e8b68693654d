"""A small ``.pte`` whose inputs may have several sizes, and how the runner is given them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from slmdeploy.compress.generic import compress_module
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.export.executorch.generic import export_module
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.model.sizes import Varying

ROWS, LENGTH = 3, 5
SIZES = tuple(
    (
        Varying(axis=0, least=1, most=4, dimension="rows"),
        Varying(axis=1, least=1, most=6, dimension="length"),
    )
    for _ in range(2)
)


class Sum(nn.Module):
    """Float32 and int64 of one shape to their sum, whose rows are summed outside of delegates."""

    def forward(self, x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        return x * 2.0 + n, n.cumsum(1)


def save_sized(path: Path) -> Path:
    """Export it with examples of [ROWS, LENGTH]."""
    export_module(
        compress_module(Sum(), BUILTIN_RECIPES["none"]),
        (torch.ones(ROWS, LENGTH), torch.ones(ROWS, LENGTH, dtype=torch.long)),
        ExecutorchOptions(),
        path,
        input_names=["x", "n"],
        output_names=["sum", "total"],
        sizes=SIZES,
    )
    return path


def argv(folder: Path, shape: tuple[int, int], *said: str) -> list[str]:
    """Inputs of a shape, and what is said of it: the shape itself, where nothing else is given."""
    x, n = np.arange(np.prod(shape), dtype="<f4"), np.arange(np.prod(shape), dtype="<i8")
    x.tofile(folder / "x")
    n.tofile(folder / "n")
    flags = ["--method", "forward", "--output-dir", str(folder)]
    flags += ["--input", str(folder / "x"), "--input", str(folder / "n")]
    for one in said or ("x".join(map(str, shape)),) * 2:
        flags += ["--shape", one]
    return flags
