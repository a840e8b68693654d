"""Weights that are read one tensor at a time, whatever file they lie in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from slmdeploy.errors import ModelReadError
from slmdeploy.model.extras import import_torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["FLOATS", "TensorMeta", "WeightSource", "require_finite", "tensor_missing"]

FLOATS = ("float32", "float16", "bfloat16", "float64")
"""The dtypes of a checkpoint that are read as weights."""


@dataclass(frozen=True)
class TensorMeta:
    """A stored tensor, known without its values.

    Attributes:
        shape: Its dimensions, the slowest first (as in PyTorch).
        dtype: How it is stored: ``float32``, ``float16``, ``bfloat16``, an integer type,
            or a type of GGUF such as ``Q4_1``.
        nbytes: Bytes it takes in its file.
        begin: Where its data begin, in bytes from the start of the file.
    """

    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    begin: int = field(default=0, compare=False)

    @property
    def parameters(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


class WeightSource(Protocol):
    """Tensors by the names of a Hugging Face checkpoint of the family."""

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Dimensions of a tensor, read from the file's header."""

    def dtype(self, name: str) -> str:
        """How a tensor is stored; see ``TensorMeta``."""

    def nbytes(self, name: str) -> int:
        """Bytes that a tensor takes in its file."""

    def load(self, name: str) -> Tensor:
        """Read a tensor as float32.

        Raises:
            ModelReadError: There is no such tensor, it cannot be read, or it holds
                values that are not finite.
        """

    def pieces(self, name: str) -> Iterator[NDArray[np.float32]]:
        """Read a tensor's values a few megabytes at a time, without torch.

        Whether they are finite is not looked at.

        Raises:
            ModelReadError: There is no such tensor, or it cannot be read.
        """

    def file_of(self, name: str) -> Path:
        """The file (the shard) that holds a tensor."""

    def files(self) -> tuple[Path, ...]:
        """The files that hold the tensors, sorted by name."""


def require_finite(tensor: Tensor, name: str, where: Path) -> Tensor:
    """Give the tensor back if all its values are finite.

    Raises:
        ModelReadError: There are NaN or infinite values; says how many.
    """
    torch = import_torch("Reading weights")
    finite = torch.isfinite(tensor)
    if not bool(finite.all()):
        bad = tensor.numel() - int(finite.sum())
        raise ModelReadError(
            f"Tensor {name!r} in {where} has {bad} of {tensor.numel()} values that are NaN or "
            "infinite.",
            hint="The checkpoint is damaged, or its training diverged.",
        )
    return tensor


def tensor_missing(name: str, where: Path) -> ModelReadError:
    """The error for a tensor that is not there."""
    return ModelReadError(f"{where} has no tensor {name!r}.")
