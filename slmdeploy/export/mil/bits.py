"""Numbers of 1 to 8 bits, packed without gaps, the lowest bits of a byte first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slmdeploy.errors import ModelReadError

__all__ = ["pack_bits", "packed_bytes", "unpack_bits"]

_Bytes = npt.NDArray[np.uint8]
_AT_ONCE = 1 << 20
"""Numbers that are spread into bits at a time: a bit takes a byte meanwhile."""


def packed_bytes(count: int, bits: int) -> int:
    """Bytes that ``count`` numbers of ``bits`` bits take."""
    return -(-count * bits // 8)


def unpack_bits(data: _Bytes, bits: int, count: int) -> _Bytes:
    """Unsigned numbers from their packed form.

    Args:
        data: uint8, at least ``packed_bytes(count, bits)``.
        bits: Of each number, 1 to 8.
        count: Numbers to read.

    Raises:
        ModelReadError: Too few bytes.
    """
    if data.size < packed_bytes(count, bits):
        raise ModelReadError(
            f"{count} numbers of {bits} bits need {packed_bytes(count, bits)} bytes; "
            f"{data.size} are there."
        )
    if bits == 8:
        return data[:count]
    found = np.empty(count, np.uint8)
    if bits == 4:  # most weights: shifts are much faster than the general way
        half = data[: packed_bytes(count, 4)]
        found[0::2], found[1::2] = half & 15, half[: count // 2] >> 4
        return found
    for start in range(0, count, _AT_ONCE):  # a whole number of bytes, being a multiple of 8
        stop = min(count, start + _AT_ONCE)
        part = data[start * bits // 8 : packed_bytes(stop, bits)]
        spread = np.unpackbits(part, count=(stop - start) * bits, bitorder="little")
        found[start:stop] = np.packbits(
            spread.reshape(-1, bits), axis=1, bitorder="little"
        ).reshape(-1)
    return found


def pack_bits(values: _Bytes, bits: int) -> _Bytes:
    """The packed form of unsigned numbers below ``2 ** bits``; the last byte is filled with 0."""
    spread = np.unpackbits(values.reshape(-1, 1), axis=1, count=bits, bitorder="little")
    return np.packbits(spread.reshape(-1), bitorder="little")
