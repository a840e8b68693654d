"""Weights in PyTorch's own pickled files, read only where the user allows it.

``torch.load`` with ``weights_only=True`` unpickles tensors and plain containers and refuses
everything else, so that no code of the file runs; ``mmap=True`` leaves the values on the disk.
Imports torch, even for ``inspect``: the shapes are in the pickle.
"""

from __future__ import annotations

import json
import pickle
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmdeploy.errors import ModelReadError
from slmdeploy.model.extras import import_torch
from slmdeploy.model.weights import FLOATS, require_finite, tensor_missing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["PickleSource", "find_pickles", "open_pickles"]

_INDEX = "pytorch_model.bin.index.json"
_SHARD = re.compile(r"pytorch_model(-\d{5}-of-\d{5})?\.bin")
_PIECE_VALUES = 2**20


class PickleSource:
    """Tensors of ``pytorch_model*.bin``, mapped.

    Args:
        tensors: By name, with the file that each is in.
    """

    def __init__(self, tensors: Mapping[str, tuple[Path, Tensor]]) -> None:
        self._tensors = dict(sorted(tensors.items()))

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Dimensions of a tensor."""
        return tuple(self._tensor(name).shape)

    def dtype(self, name: str) -> str:
        """How a tensor is stored."""
        return str(self._tensor(name).dtype).removeprefix("torch.")

    def nbytes(self, name: str) -> int:
        """Bytes that a tensor takes in its file."""
        tensor = self._tensor(name)
        return tensor.numel() * tensor.element_size()

    def file_of(self, name: str) -> Path:
        """The shard that holds a tensor."""
        self._tensor(name)
        return self._tensors[name][0]

    def files(self) -> tuple[Path, ...]:
        """The files, sorted by name."""
        return tuple(sorted({path for path, _ in self._tensors.values()}))

    def pieces(self, name: str) -> Iterator[NDArray[np.float32]]:
        """Read a tensor's values some at a time; see ``WeightSource``."""
        values = self._float(name).reshape(-1)
        for begin in range(0, values.numel(), _PIECE_VALUES):
            yield values[begin : begin + _PIECE_VALUES].float().numpy()

    def load(self, name: str) -> Tensor:
        """Read a tensor as float32.

        Raises:
            ModelReadError: There is no such tensor, it is not of floating point, or it
                holds values that are not finite.
        """
        torch = import_torch("Reading weights")
        tensor: Tensor = self._float(name).to(torch.float32).contiguous().clone()
        return require_finite(tensor, name, self.file_of(name))

    def _float(self, name: str) -> Tensor:
        tensor = self._tensor(name)
        if self.dtype(name) not in FLOATS:
            raise ModelReadError(
                f"Tensor {name!r} in {self.file_of(name)} is stored as {self.dtype(name)}; "
                f"only {', '.join(FLOATS)} are read as weights."
            )
        return tensor

    def _tensor(self, name: str) -> Tensor:
        if name not in self._tensors:
            raise tensor_missing(name, self.files()[0].parent if self._tensors else Path())
        return self._tensors[name][1]


def find_pickles(folder: Path) -> tuple[Path, ...]:
    """The files of a checkpoint that was saved as pickles; none where there is none."""
    return tuple(sorted(path for path in folder.glob("*.bin") if _SHARD.fullmatch(path.name)))


def open_pickles(folder: Path) -> PickleSource:
    """Open a checkpoint's ``pytorch_model*.bin``.

    Raises:
        ModelReadError: There are none, a shard is missing, or a file is damaged or holds
            more than tensors.
        MissingExtraError: torch is not installed.
    """
    paths = find_pickles(folder)
    if not paths:
        raise ModelReadError(f"{folder} has no pytorch_model.bin.")
    _require_shards(folder, {path.name for path in paths})
    found: dict[str, tuple[Path, Tensor]] = {}
    for path in paths:
        found |= {name: (path, tensor) for name, tensor in _read(path).items()}
    return PickleSource(found)


def _require_shards(folder: Path, there: set[str]) -> None:
    index = folder / _INDEX
    if not index.is_file():
        return
    try:
        wanted = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelReadError(f"{index} is not an index of shards.") from error
    missing = sorted(str(name) for name in wanted - there)
    if missing:
        raise ModelReadError(
            f"{folder} lacks {len(missing)} of its shards, such as {missing[0]}.",
            hint="Fetch or copy the checkpoint again.",
        )


def _read(path: Path) -> dict[str, Tensor]:
    torch = import_torch("Reading pickled weights")
    try:
        # A map needs the zip format of torch 1.6; older files are read whole.
        found: Any = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except (
        pickle.UnpicklingError,
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        MemoryError,
        struct.error,
        AssertionError,
    ) as error:
        why = str(error).strip().partition("\n")[0][:200]
        raise ModelReadError(
            f"{path} is damaged, or holds more than tensors: {why}",
            hint="Only tensors are read from a pickle; convert it to safetensors where it is "
            "trusted.",
        ) from error
    if not isinstance(found, dict) or not all(isinstance(t, torch.Tensor) for t in found.values()):
        raise ModelReadError(f"{path} is not a table of tensors.")
    return {str(name): tensor.detach() for name, tensor in found.items()}
