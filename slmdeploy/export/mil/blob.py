"""The file of weights in a package: 64 bytes of header, then blobs with 64 bytes of metadata each.

A program names a blob by the offset of its metadata. Metadata are a sentinel, the type of the
elements, bytes and offset of the data, and how many bits at their end are padding.
Source: ``mlmodel/src/MILBlob/Blob/StorageFormat.hpp`` of coremltools 9.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slmdeploy.errors import ModelReadError
from slmdeploy.export.mil.bits import packed_bytes, unpack_bits
from slmdeploy.export.mil.types import DataType, TensorType

__all__ = ["SENTINEL", "BlobFile", "decode"]

SENTINEL = 0xDEADBEEF
_METADATA = struct.Struct("<IIQQ")
_TYPES = {
    1: "FLOAT16",
    2: "FLOAT32",
    3: "UINT8",
    4: "INT8",
    5: "BFLOAT16",
    6: "INT16",
    7: "UINT16",
    8: "INT4",
    9: "UINT1",
    10: "UINT2",
    11: "UINT4",
    12: "UINT3",
    13: "UINT6",
    14: "INT32",
    15: "UINT32",
    16: "FLOAT8E4M3FN",
    17: "FLOAT8E5M2",
}


class BlobFile:
    """A file of weights, mapped: nothing is read until it is asked for.

    Args:
        path: The file.

    Raises:
        ModelReadError: It is missing or empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._data = np.memmap(path, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise ModelReadError(f"The weight file {path} cannot be read: {error}") from None

    def read(self, offset: int, tensor: TensorType) -> npt.NDArray[Any]:
        """The elements of a blob in the shape of a type.

        Args:
            offset: Of its metadata.
            tensor: What the program says it is.

        Raises:
            ModelReadError: No blob begins there, it runs beyond the end of the file, or it is
                of another type or size.
        """
        raw = self._raw(offset, tensor.data)
        if raw.size < tensor.stored_bytes:
            raise ModelReadError(
                f"The blob at {offset} of {self.path.name} has {raw.size} bytes; "
                f"{tensor} needs {tensor.stored_bytes}."
            )
        return decode(raw, tensor)

    def _raw(self, offset: int, data: DataType) -> npt.NDArray[np.uint8]:
        name, end = self.path.name, int(self._data.size)
        if offset + _METADATA.size > end:
            raise ModelReadError(f"{name} has {end} bytes; a blob is said to begin at {offset}.")
        head = self._data[offset : offset + _METADATA.size].tobytes()
        sentinel, kind, size, start = _METADATA.unpack(head)
        if sentinel != SENTINEL:
            raise ModelReadError(f"No blob of weights begins at {offset} of {name}.")
        if _TYPES.get(kind) != data.name:
            stored = _TYPES.get(kind, f"type {kind}")
            raise ModelReadError(
                f"The blob at {offset} of {name} holds {stored}; the program says {data.name}."
            )
        if start + size > end:
            raise ModelReadError(
                f"The blob at {offset} of {name} ends at {start + size}; the file at {end}."
            )
        return self._data[start : start + size]


def decode(raw: npt.NDArray[np.uint8], tensor: TensorType) -> npt.NDArray[Any]:
    """Elements from their stored bytes, in the shape of their type.

    Raises:
        ModelReadError: There are too few bytes, or numpy has no such type.
    """
    data, shape = tensor.data, tuple(size or 0 for size in tensor.shape)
    if data.dtype is None:
        raise ModelReadError(f"Constants of type {data.name} cannot be read.")
    if data.bits < 8:
        numbers = unpack_bits(raw, data.bits, tensor.count)
        if data.is_signed:
            high = np.uint8(1 << (data.bits - 1))
            return ((numbers ^ high).view(np.int8) - np.int8(high)).reshape(shape)
        return numbers.reshape(shape)
    needed = packed_bytes(tensor.count, data.bits)
    if raw.size < needed:
        raise ModelReadError(f"{tensor} needs {needed} bytes; {raw.size} are there.")
    return raw[:needed].view(data.dtype).reshape(shape)
