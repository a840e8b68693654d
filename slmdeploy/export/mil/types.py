"""Types of values in an ML Program, by Core ML's own numbers and names.

Source: ``mlmodel/format/MIL.proto`` of coremltools 9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from slmdeploy.errors import ModelReadError

__all__ = ["DATA_TYPES", "DataType", "ListType", "StateType", "TensorType", "data_type"]


@dataclass(frozen=True)
class DataType:
    """A type of elements.

    Attributes:
        name: As in ``FLOAT16``.
        bits: Of an element as it is stored.
        dtype: numpy's type with the same values; ``None`` for text, and for what numpy
            has no type for.
    """

    name: str
    bits: int
    dtype: np.dtype[Any] | None

    @property
    def is_float(self) -> bool:
        """Whether it holds fractions."""
        return "FLOAT" in self.name

    @property
    def is_signed(self) -> bool:
        """Whether it is a signed integer."""
        return self.name.startswith("INT")


def _of(name: str, bits: int, dtype: str | None) -> DataType:
    return DataType(name, bits, None if dtype is None else np.dtype(dtype))


DATA_TYPES = {
    1: _of("BOOL", 8, "?"),
    2: _of("STRING", 0, None),
    10: _of("FLOAT16", 16, "<f2"),
    11: _of("FLOAT32", 32, "<f4"),
    12: _of("FLOAT64", 64, "<f8"),
    13: _of("BFLOAT16", 16, None),
    21: _of("INT8", 8, "i1"),
    22: _of("INT16", 16, "<i2"),
    23: _of("INT32", 32, "<i4"),
    24: _of("INT64", 64, "<i8"),
    25: _of("INT4", 4, "i1"),
    31: _of("UINT8", 8, "u1"),
    32: _of("UINT16", 16, "<u2"),
    33: _of("UINT32", 32, "<u4"),
    34: _of("UINT64", 64, "<u8"),
    35: _of("UINT4", 4, "u1"),
    36: _of("UINT2", 2, "u1"),
    37: _of("UINT1", 1, "u1"),
    38: _of("UINT6", 6, "u1"),
    39: _of("UINT3", 3, "u1"),
    40: _of("FLOAT8E4M3FN", 8, None),
    41: _of("FLOAT8E5M2", 8, None),
}
"""By the number that stands in the file."""


def data_type(number: int) -> DataType:
    """The type with a number.

    Raises:
        ModelReadError: There is none.
    """
    if number not in DATA_TYPES:
        raise ModelReadError(f"A tensor of the program has the unknown data type {number}.")
    return DATA_TYPES[number]


@dataclass(frozen=True)
class TensorType:
    """A tensor: type of its elements and its shape, ``None`` for a flexible dimension."""

    data: DataType
    shape: tuple[int | None, ...]

    @property
    def count(self) -> int:
        """Elements.

        Raises:
            ModelReadError: A dimension is flexible.
        """
        fixed = [size for size in self.shape if size is not None]
        if len(fixed) != len(self.shape):
            raise ModelReadError("A constant of the program has a flexible shape.")
        return math.prod(fixed)

    @property
    def stored_bytes(self) -> int:
        """Bytes of its elements in a file."""
        return -(-self.count * self.data.bits // 8)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Tell whether an array of a shape is of this type."""
        return len(shape) == len(self.shape) and all(
            mine is None or mine == size for mine, size in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.data.name.lower()} [{sizes}]"


@dataclass(frozen=True)
class ListType:
    """A list, tuple or dictionary: what the evaluator meets in attributes only."""

    kind: str


@dataclass(frozen=True)
class StateType:
    """A buffer that the functions of a model share and that outlives a call."""

    tensor: TensorType
