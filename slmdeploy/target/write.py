"""Write a profile as TOML; the standard library only reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from slmdeploy.target.profile import TargetProfile

__all__ = ["profile_toml", "to_toml"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def profile_toml(profile: TargetProfile) -> str:
    """The profile as a file that ``load_target`` reads back as it was."""
    return "#:schema ./schema.json\n" + to_toml(profile.model_dump(exclude_none=True))


def to_toml(data: Mapping[str, Any]) -> str:
    """Write tables of text, numbers, truth values, lists of these and tables."""
    return "\n".join(_table(data, ())).lstrip("\n") + "\n"


def _table(data: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    plain = {key: value for key, value in data.items() if not isinstance(value, Mapping)}
    if above and (plain or not data):
        yield ""
        yield f"[{'.'.join(_key(part) for part in above)}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _table(value, (*above, key))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    raise TypeError(f"TOML has no form for {type(value).__name__}")


def _text(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
