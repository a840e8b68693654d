"""The weights of a module that is in memory already, as a source like any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from slmdeploy.errors import ModelReadError
from slmdeploy.model.weights import require_finite, tensor_missing

__all__ = ["ModuleWeights"]

_NOWHERE = Path("the module")


class ModuleWeights:
    """See ``model.weights.WeightSource``.

    Args:
        module: Its parameters are the tensors; a shared one has its first name.
        files: Where they came from.

    Raises:
        ModelReadError: A parameter is on no device, or holds values that are not finite.
    """

    def __init__(self, module: nn.Module, files: tuple[Path, ...]) -> None:
        self._tensors = dict(sorted(module.named_parameters()))
        self._files = files
        for name, value in self._tensors.items():
            if value.is_meta:
                raise ModelReadError(f"Parameter {name!r} is on the meta device: it has no values.")
            if value.is_floating_point():
                require_finite(value.detach(), name, _NOWHERE)

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Dimensions of a tensor."""
        return tuple(self._tensor(name).shape)

    def dtype(self, name: str) -> str:
        """Its dtype by torch's name."""
        return str(self._tensor(name).dtype).removeprefix("torch.")

    def nbytes(self, name: str) -> int:
        """Bytes that a tensor takes in memory."""
        return self._tensor(name).nbytes

    def load(self, name: str) -> Tensor:
        """A copy in float32."""
        return self._tensor(name).detach().float().clone()

    def pieces(self, name: str) -> Iterator[npt.NDArray[np.float32]]:
        """The values of a tensor, in one piece."""
        yield self.load(name).numpy().reshape(-1)

    def file_of(self, name: str) -> Path:
        """The file that the module came from, or a word for a function's."""
        self._tensor(name)
        return self._files[0] if self._files else _NOWHERE

    def files(self) -> tuple[Path, ...]:
        """The file that the module came from; none for a function."""
        return self._files

    def _tensor(self, name: str) -> Tensor:
        if name not in self._tensors:
            raise tensor_missing(name, _NOWHERE)
        return self._tensors[name]
