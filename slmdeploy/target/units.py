"""Amounts of bytes as people write them: ``"8 GiB"``, ``"512 MB"``, ``1048576``."""

from __future__ import annotations

import re

__all__ = ["BYTES_PATTERN", "format_bytes", "parse_bytes"]

_UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
BYTES_PATTERN = r"^\s*\d+(\.\d+)?\s*([kKMGT]i?)?B\s*$"
_BYTES = re.compile(r"^\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>(?:[kKMGT]i?)?B)\s*$")


def parse_bytes(value: object) -> object:
    """Turn ``"8 GiB"`` into 8589934592 bytes; anything but text passes unchanged.

    Raises:
        ValueError: A text that is not a number and a unit.
    """
    if not isinstance(value, str):
        return value
    match = _BYTES.match(value)
    if match is None:
        raise ValueError(f"{value!r} is not an amount; write it as '8 GiB', '512 MB' or in bytes")
    return round(float(match["number"]) * _UNITS[match["unit"].upper()])


def format_bytes(count: int) -> str:
    """Write a number of bytes for people, as in ``1.5 GiB``; below 1 KiB exactly."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
