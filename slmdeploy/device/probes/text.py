"""Numbers out of what sensors print; each is a value, or ``None`` and a reason."""

from __future__ import annotations

import fnmatch
import re

from slmdeploy.device.probes.types import Measured, Raw, Text

__all__ = ["absent", "keys", "measured", "of_chip", "said", "whole", "word"]

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_SHOWN = 60


def keys(raw: Raw, pattern: str) -> list[str]:
    """The keys that match a shell pattern, numbers in their order (2 before 10)."""
    return sorted(fnmatch.filter(raw, pattern), key=_natural)


def said(raw: Raw, key: str) -> Text:
    """What was read; a key that is not there was not found on the board."""
    return raw.get(key) or Text(None, "not on this board")


def word(raw: Raw, key: str) -> Text:
    """One line without blanks around it."""
    found = said(raw, key)
    if found.text is None:
        return found
    line = found.text.replace("\0", "").strip()
    if not line or "\n" in line:
        return Text(None, f"one line was expected, not {_shown(found.text)}")
    return Text(line)


def whole(raw: Raw, key: str) -> tuple[float | None, str | None]:
    """A whole number, and why there is none."""
    found = word(raw, key)
    if found.text is None:
        return None, found.reason
    if not _WHOLE.fullmatch(found.text):
        return None, f"not a number: {_shown(found.text)}"
    return float(found.text), None


def measured(raw: Raw, quantity: str, of: str, key: str, per: float = 1.0) -> Measured:
    """The whole number of a file, of which ``per`` make one of the quantity's unit."""
    value, reason = whole(raw, key)
    return Measured(quantity, of, None if value is None else value / per, key, reason)


def absent(quantity: str, sensor: str, reason: str, of: str = "") -> Measured:
    """A value that could not be had."""
    return Measured(quantity, of, None, sensor, reason)


def of_chip(raw: Raw, key: str) -> str:
    """The ``name`` of the hwmon chip that a file belongs to; else its folder's name."""
    folder = key.rpartition("/")[0]
    return word(raw, f"{folder}/name").text or folder.rpartition("/")[2]


def _natural(key: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _parts(key)]


def _parts(key: str) -> list[str]:
    return re.split(r"([0-9]{1,9})", key)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
