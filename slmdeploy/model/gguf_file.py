"""The metadata and tensor table of a GGUF file, read with every length checked.

The ``gguf`` package dequantizes; its reader trusts the lengths it finds, so that a
damaged file can keep it busy for ever. This one does not.
Source: the file format's description, ``docs/gguf.md`` of the ggml repository.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slmdeploy.errors import ModelReadError
from slmdeploy.model.extras import import_gguf
from slmdeploy.model.weights import TensorMeta

__all__ = ["GgufFile", "GgufTensor", "open_gguf"]

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_SCALARS[12] = "d"
_DEEPEST_ARRAY = 2
_DEFAULT_ALIGNMENT = 32


@dataclass(frozen=True)
class GgufTensor:
    """A tensor of the file.

    Attributes:
        name: Its name in the file (``blk.0.attn_q.weight``).
        kind: Number of its type in ggml.
        meta: Shape (the slowest dimension first, as in PyTorch), type and bytes.
        offset: Where its data begin, in bytes from the start of the file.
    """

    name: str
    kind: int
    meta: TensorMeta
    offset: int


@dataclass(frozen=True)
class GgufFile:
    """What a GGUF file says of itself.

    Attributes:
        path: The file.
        metadata: Its keys and values; arrays are tuples.
        tensors: Its tensors by name, in the order of the file.
    """

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, GgufTensor]


def open_gguf(path: Path) -> GgufFile:
    """Read a file's metadata and tensor table.

    Raises:
        ModelReadError: The file cannot be opened, is cut short, is not GGUF, or is of
            a version or byte order that is not read.
        MissingExtraError: The ``gguf`` package is not installed.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(path, data)
    except OSError as error:
        raise ModelReadError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # mmap's word for an empty file
        raise _damaged(path, "it is empty") from error


def _read(path: Path, data: mmap.mmap) -> GgufFile:
    cursor = _Cursor(path, data)
    if cursor.take(4) != _MAGIC:
        raise ModelReadError(f"{path} is not a GGUF file: it does not begin with 'GGUF'.")
    version = cursor.number("I")
    if version not in _VERSIONS:
        swapped = version & 0xFFFF == 0
        what = "is big-endian" if swapped else f"has version {version}"
        raise ModelReadError(f"{path} {what}; little-endian GGUF of version 2 or 3 is read.")
    tensor_count, key_count = cursor.number("Q"), cursor.number("Q")
    metadata = {cursor.string(): cursor.value(cursor.number("I")) for _ in range(key_count)}
    rows = [_tensor_row(cursor) for _ in range(tensor_count)]
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment <= 0:
        raise _damaged(path, f"its alignment is {alignment!r}")
    start = -(-cursor.position // alignment) * alignment
    tensors = {row[0]: _tensor(path, row, start, len(data)) for row in rows}
    return GgufFile(path, metadata, tensors)


_Row = tuple[str, tuple[int, ...], int, int]


def _tensor_row(cursor: _Cursor) -> _Row:
    """Name, dimensions (the fastest first), type and offset into the data."""
    name = cursor.string()
    rank = cursor.number("I")
    cursor.require(rank, 8)
    shape = tuple(cursor.number("Q") for _ in range(rank))
    return name, shape, cursor.number("I"), cursor.number("Q")


def _tensor(path: Path, row: _Row, start: int, size: int) -> GgufTensor:
    gguf = import_gguf()
    name, dimensions, kind, offset = row
    try:
        kind_name = gguf.GGMLQuantizationType(kind).name
        block, width = gguf.GGML_QUANT_SIZES[kind]
    except (KeyError, ValueError) as error:
        raise ModelReadError(f"Tensor {name!r} in {path} has the unknown type {kind}.") from error
    count = math.prod(dimensions)
    if not dimensions or dimensions[0] % block:
        raise _damaged(path, f"tensor {name!r} of {list(dimensions)} values is not in {kind_name}")
    nbytes = count // block * width
    if start + offset + nbytes > size:
        raise _damaged(path, f"tensor {name!r} ends at byte {start + offset + nbytes} of {size}")
    meta = TensorMeta(tuple(reversed(dimensions)), kind_name, nbytes)
    return GgufTensor(name, kind, meta, start + offset)


class _Cursor:
    """Reads forward through the bytes and never past their end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path, self._data, self.position = path, data, 0

    def require(self, count: int, width: int) -> None:
        """Check that ``count`` items of at least ``width`` bytes can still follow."""
        if count * width > len(self._data) - self.position:
            raise _damaged(self._path, f"it ends at byte {len(self._data)}, within its header")

    def take(self, count: int) -> bytes:
        self.require(count, 1)
        self.position += count
        return self._data[self.position - count : self.position]

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def string(self) -> str:
        raw = self.take(self.number("Q"))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _damaged(
                self._path, f"a text before byte {self.position} is not UTF-8"
            ) from error

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY or depth == _DEEPEST_ARRAY:
            raise _damaged(self._path, f"the value before byte {self.position} has type {kind}")
        item, count = self.number("I"), self.number("Q")
        if item in _SCALARS:
            layout = f"<{self._checked(count, _SCALARS[item])}{_SCALARS[item]}"
            return struct.unpack(layout, self.take(struct.calcsize(layout)))
        self.require(count, 8)
        return tuple(self.value(item, depth + 1) for _ in range(count))

    def _checked(self, count: int, code: str) -> int:
        self.require(count, struct.calcsize("<" + code))
        return count


def _damaged(path: Path, why: str) -> ModelReadError:
    return ModelReadError(
        f"{path} is damaged or was not copied whole: {why}.", hint="Fetch or copy it again."
    )
