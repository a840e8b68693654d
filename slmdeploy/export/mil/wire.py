"""Protocol Buffers' wire format, read with every length checked.

Why not the classes that coremltools has: importing them imports all of coremltools, which
takes seconds and wants torch, and verifying a bundle needs neither. The format is small.
Source: "Encoding" in the Protocol Buffers documentation.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from slmdeploy.errors import ModelReadError

__all__ = ["Message", "packed_integers", "packed_numbers"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_Raw = int | memoryview


class Message:
    """The fields of one message, by number; nested messages are read when asked for.

    Unknown fields are kept and never looked at. Of a field that appears several times and
    is asked for as one, the last counts, as the format wants it.

    Args:
        data: The message's bytes.

    Raises:
        ModelReadError: A field runs beyond the end, or has no valid type.
    """

    def __init__(self, data: memoryview) -> None:
        self._fields: dict[int, list[_Raw]] = {}
        for number, value in _fields(data):
            self._fields.setdefault(number, []).append(value)

    def has(self, number: int) -> bool:
        """Tell whether a field is set."""
        return number in self._fields

    def which(self, *numbers: int) -> int | None:
        """Which field of a ``oneof`` is set; ``None`` if none is."""
        return next((number for number in numbers if number in self._fields), None)

    def integer(self, number: int) -> int:
        """A scalar as an unsigned integer; 0 where it is not set."""
        value = self._last(number, 0)
        if not isinstance(value, int):
            raise ModelReadError(f"Field {number} of a message is not a number.")
        return value

    def text(self, number: int) -> str:
        """A string; empty where it is not set."""
        return _text(self.data(number))

    def texts(self, number: int) -> list[str]:
        """A repeated string."""
        return [_text(_as_bytes(value, number)) for value in self._fields.get(number, [])]

    def data(self, number: int) -> memoryview:
        """The bytes of a field; empty where it is not set."""
        return _as_bytes(self._last(number, memoryview(b"")), number)

    def message(self, number: int) -> Message:
        """A nested message; empty where it is not set."""
        return Message(self.data(number))

    def messages(self, number: int) -> Iterator[Message]:
        """A repeated message."""
        for value in self._fields.get(number, []):
            yield Message(_as_bytes(value, number))

    def entries(self, number: int) -> Iterator[tuple[str, Message]]:
        """A map from strings to messages."""
        for entry in self.messages(number):
            yield entry.text(1), entry.message(2)

    def raw(self, number: int) -> list[int | memoryview]:
        """All values of a field as they stand: numbers, or bytes of packed ones."""
        return self._fields.get(number, [])

    def _last(self, number: int, default: _Raw) -> _Raw:
        values = self._fields.get(number)
        return values[-1] if values else default


def packed_integers(values: list[int | memoryview]) -> list[int]:
    """Signed integers of a repeated field, packed or not.

    Raises:
        ModelReadError: The last one is cut off.
    """
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            found.append(number)
    return [number - (1 << 64) if number >> 63 else number for number in found]


def packed_numbers(values: list[int | memoryview], dtype: str) -> npt.NDArray[np.floating]:
    """Floats or doubles of a repeated field, packed or not.

    Args:
        values: The field, of ``Message.raw``.
        dtype: numpy's name with the byte order: ``<f4`` or ``<f8``.

    Raises:
        ModelReadError: The last one is cut off.
    """
    width = np.dtype(dtype).itemsize
    data = b"".join(
        value.to_bytes(width, "little") if isinstance(value, int) else bytes(value)
        for value in values
    )
    if len(data) % width:
        raise ModelReadError(f"{len(data)} bytes are no whole count of {width}-byte numbers.")
    return np.frombuffer(data, dtype)


def _fields(data: memoryview) -> Iterator[tuple[int, _Raw]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind, -1)
        if length < 0:
            raise ModelReadError(f"A field has the wire type {kind}, which does not exist.")
        if at + length > len(data):
            raise ModelReadError(
                f"Field {number} says it has {length} bytes; {len(data) - at} are left."
            )
        part = data[at : at + length]
        yield number, part if kind == _BYTES else int.from_bytes(part, "little")
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number, and where the next thing begins."""
    value = 0
    for index, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + index + 1
    raise ModelReadError("A number in a message has no end.")


def _as_bytes(value: _Raw, number: int) -> memoryview:
    if isinstance(value, int):
        raise ModelReadError(f"Field {number} of a message is a number, not bytes.")
    return value


def _text(data: memoryview) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        raise ModelReadError("A name in the program is not UTF-8.") from None
