"""Weights in safetensors: one file, or shards with an index."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmdeploy.errors import MissingExtraError, ModelReadError
from slmdeploy.model.extras import import_torch
from slmdeploy.model.safetensors_header import read_header
from slmdeploy.model.weights import FLOATS, TensorMeta, require_finite, tensor_missing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["INDEX_NAME", "SINGLE_NAME", "SafetensorsSource", "floats", "open_safetensors"]

SINGLE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
_SHARD = re.compile(r"(?P<stem>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.safetensors")
_NAMES_SHOWN = 3
_PIECE_BYTES = 4 * 2**20


class SafetensorsSource:
    """Tensors of one or more safetensors files; only headers are read beforehand.

    Args:
        tensors: For each tensor, the file that it is in and what the header says.
    """

    def __init__(self, tensors: Mapping[str, tuple[Path, TensorMeta]]) -> None:
        self._tensors = dict(sorted(tensors.items()))

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Dimensions of a tensor."""
        return self._meta(name).shape

    def dtype(self, name: str) -> str:
        """How a tensor is stored."""
        return self._meta(name).dtype

    def nbytes(self, name: str) -> int:
        """Bytes that a tensor takes in its file."""
        return self._meta(name).nbytes

    def files(self) -> tuple[Path, ...]:
        """The files, sorted by name."""
        return tuple(sorted({path for path, _ in self._tensors.values()}))

    def file_of(self, name: str) -> Path:
        """The shard that holds a tensor."""
        self._meta(name)
        return self._tensors[name][0]

    def pieces(self, name: str) -> Iterator[NDArray[np.float32]]:
        """Read a tensor's values a few megabytes at a time; see ``WeightSource``."""
        meta, path = self._meta(name), self._tensors[name][0]
        _require_float(meta, name, path)
        try:
            with path.open("rb") as file:
                file.seek(meta.begin)
                for begin in range(0, meta.nbytes, _PIECE_BYTES):
                    raw = file.read(min(_PIECE_BYTES, meta.nbytes - begin))
                    yield floats(raw, meta.dtype)
        except (OSError, ValueError) as error:
            raise ModelReadError(f"Tensor {name!r} in {path} cannot be read: {error}.") from error

    def load(self, name: str) -> Tensor:
        """Read a tensor as float32 through a memory map.

        Raises:
            ModelReadError: There is no such tensor, it is not of floating point, it
                cannot be read, or it holds values that are not finite.
            MissingExtraError: safetensors or torch is not installed.
        """
        meta, path = self._meta(name), self._tensors[name][0]
        _require_float(meta, name, path)
        return require_finite(_load_tensor(path, name), name, path)

    def _meta(self, name: str) -> TensorMeta:
        if name not in self._tensors:
            raise tensor_missing(name, self.files()[0].parent if self._tensors else Path())
        return self._tensors[name][1]


def floats(raw: bytes, dtype: str) -> NDArray[np.float32]:
    """Values as a file has them, little-endian, as float32.

    Args:
        raw: Whole values.
        dtype: One of ``FLOATS``.
    """
    import numpy as np

    if dtype == "bfloat16":  # the upper half of a float32
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    kind = {"float32": "<f4", "float16": "<f2", "float64": "<f8"}[dtype]
    return np.frombuffer(raw, kind).astype(np.float32, copy=False)


def _require_float(meta: TensorMeta, name: str, path: Path) -> None:
    if meta.dtype not in FLOATS:
        raise ModelReadError(
            f"Tensor {name!r} in {path} is stored as {meta.dtype}; "
            f"only {', '.join(FLOATS)} are read as weights."
        )


def open_safetensors(folder: Path) -> SafetensorsSource:
    """Find a checkpoint's safetensors files and check that they are all there.

    Raises:
        ModelReadError: There are none, a shard is missing, a file is damaged, or the
            index names tensors that no shard has.
    """
    if (folder / INDEX_NAME).is_file():
        return _open_indexed(folder)
    paths = [folder / SINGLE_NAME] if (folder / SINGLE_NAME).is_file() else _unindexed(folder)
    if not paths:
        raise _no_weights(folder)
    return SafetensorsSource(
        {name: (path, meta) for path in paths for name, meta in read_header(path).items()}
    )


def _open_indexed(folder: Path) -> SafetensorsSource:
    weight_map = _weight_map(folder / INDEX_NAME)
    shards = sorted(set(weight_map.values()))
    _require_all(folder, shards)
    headers = {shard: read_header(folder / shard) for shard in shards}
    lost = sorted(name for name, shard in weight_map.items() if name not in headers[shard])
    if lost:
        raise ModelReadError(
            f"{folder / INDEX_NAME} names {len(lost)} tensors that their shards do not have: "
            f"{_some(lost)}.",
            hint="The index and the shards are not of the same checkpoint; fetch it again.",
        )
    return SafetensorsSource(
        {name: (folder / shard, headers[shard][name]) for name, shard in weight_map.items()}
    )


def _weight_map(path: Path) -> dict[str, str]:
    try:
        index: Any = json.loads(path.read_text(encoding="utf-8"))
        weight_map = {str(name): str(shard) for name, shard in index["weight_map"].items()}
    except OSError as error:
        raise ModelReadError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelReadError(f"{path} is not an index of safetensors shards.") from error
    for shard in weight_map.values():
        # A shard lies beside its index: anything else would read files at will.
        if Path(shard).name != shard:
            raise ModelReadError(f"{path} names a shard outside its folder: {shard!r}.")
    return weight_map


def _unindexed(folder: Path) -> list[Path]:
    """The only safetensors file of another name, or a full set of shards without an index."""
    found = sorted(path.name for path in folder.glob("*.safetensors"))
    matches = [_SHARD.fullmatch(name) for name in found]
    sets = {(match["stem"], match["count"]) for match in matches if match}
    if found and all(matches) and len(sets) == 1:
        stem, count = sets.pop()
        wanted = [f"{stem}-{i:05d}-of-{count}.safetensors" for i in range(1, int(count) + 1)]
        _require_all(folder, wanted)
        return [folder / name for name in wanted]
    if len(found) > 1:
        raise ModelReadError(
            f"{folder} has several safetensors files and no {INDEX_NAME}: {_some(found)}."
        )
    return [folder / name for name in found]


def _require_all(folder: Path, shards: Iterable[str]) -> None:
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        raise ModelReadError(
            f"{folder} lacks {len(missing)} of its shards: {_some(missing)}.",
            hint="Fetch or copy the checkpoint again.",
        )


def _no_weights(folder: Path) -> ModelReadError:
    pickles = sorted(
        path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern)
    )
    if pickles:
        return ModelReadError(
            f"{folder} has its weights only as a pickle ({_some(pickles)}), which can run code "
            "when it is read.",
            hint="Read its tensors, and nothing else of it, with --allow-pickle.",
        )
    return ModelReadError(f"{folder} has a config.json but no weights ({SINGLE_NAME}).")


def _some(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _load_tensor(path: Path, name: str) -> Tensor:
    torch = import_torch("Reading weights")
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingExtraError("models", "Reading weights") from error
    try:
        with safe_open(path, framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise ModelReadError(f"Tensor {name!r} in {path} cannot be read: {error}.") from error
    return tensor.to(torch.float32)
