"""The header of a safetensors file, read and checked without loading a tensor.

The format: 8 bytes with the header's length (unsigned, little-endian), the header as
JSON (name to dtype, shape and the two offsets into the data), then the data.
Source: the format's description in the safetensors repository's README.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

from slmdeploy.errors import ModelReadError
from slmdeploy.model.weights import TensorMeta

__all__ = ["DTYPES", "read_header"]

DTYPES: dict[str, tuple[str, int]] = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U64": ("uint64", 8),
    "U32": ("uint32", 4),
    "U16": ("uint16", 2),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}
"""The file's dtypes: our name (numpy's, or PyTorch's where numpy has none) and bytes."""

_LONGEST_HEADER = 100_000_000  # the limit of the safetensors library itself
_METADATA = "__metadata__"


def read_header(path: Path) -> dict[str, TensorMeta]:
    """Read what tensors a file holds, and check that it is whole.

    Raises:
        ModelReadError: The file cannot be opened, is cut short, or is not safetensors;
            the message names it.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            prefix = file.read(8)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else size
            if length > min(size - 8, _LONGEST_HEADER):
                raise _damaged(path, f"it has {size} bytes, and its header would not fit")
            raw = file.read(length)
    except OSError as error:
        raise ModelReadError(f"{path} cannot be read: {error.strerror}.") from error
    header = _parse(path, raw)
    return {
        name: _meta(path, name, entry, 8 + length, size)
        for name, entry in header.items()
        if name != _METADATA
    }


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a table")
    return header


def _meta(path: Path, name: str, entry: Any, start: int, size: int) -> TensorMeta:
    data_bytes = size - start
    try:
        kind, shape = str(entry["dtype"]), tuple(int(size) for size in entry["shape"])
        begin, end = (int(offset) for offset in entry["data_offsets"])
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"the entry of tensor {name!r} is malformed") from error
    if not 0 <= begin <= end <= data_bytes:
        raise _damaged(path, f"tensor {name!r} ends at byte {end} of {data_bytes} there are")
    if kind not in DTYPES:
        raise ModelReadError(f"Tensor {name!r} in {path} has the unknown dtype {kind!r}.")
    dtype, width = DTYPES[kind]
    if end - begin != math.prod(shape) * width:
        raise _damaged(path, f"tensor {name!r} of shape {list(shape)} has {end - begin} bytes")
    return TensorMeta(shape, dtype, end - begin, start + begin)


def _damaged(path: Path, why: str) -> ModelReadError:
    return ModelReadError(
        f"{path} is damaged or was not copied whole: {why}.", hint="Fetch or copy it again."
    )
