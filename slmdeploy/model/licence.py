"""What a checkpoint says of its licence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Licence", "licence_of_folder", "licence_of_gguf"]

_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "COPYING")
_LONGEST_TEXT = 1_000_000
_FRONT_MATTER = re.compile(r"\A---\s*\n(?P<body>.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^license:\s*(?P<value>\S.*?)\s*$", re.MULTILINE)
_NAME_FIELD = re.compile(r"^license_name:\s*(?P<value>\S.*?)\s*$", re.MULTILINE)
_KNOWN_TEXTS = (
    ("Apache-2.0", ("apache license", "version 2.0")),
    ("MIT", ("permission is hereby granted, free of charge",)),
    ("BSD-3-Clause", ("redistribution and use in source", "neither the name")),
    ("GPL-3.0", ("gnu general public license", "version 3")),
)


@dataclass(frozen=True)
class Licence:
    """A licence as far as it is known.

    Attributes:
        name: As the checkpoint names it, or recognized by its text; ``None`` if unknown.
        text: The licence's text, where a file has it.
    """

    name: str | None
    text: str | None


def licence_of_folder(folder: Path, hf_config: Mapping[str, Any]) -> Licence:
    """Look in ``config.json``, the README's front matter and the licence file."""
    text = _licence_text(folder)
    named = hf_config.get("license")
    name = named if isinstance(named, str) and named else _front_matter(folder / "README.md")
    return Licence(name or _recognize(text), text)


def licence_of_gguf(metadata: Mapping[str, Any], path: Path) -> Licence:
    """Look in the file's metadata and for a licence file beside it."""
    text = _licence_text(path.parent)
    named = metadata.get("general.license")
    return Licence(named if isinstance(named, str) and named else _recognize(text), text)


def _licence_text(folder: Path) -> str | None:
    found = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    return None if found is None else _head(found)


def _head(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LONGEST_TEXT)
    except OSError:
        return None


def _front_matter(path: Path) -> str | None:
    """``license:`` of a model card; the licence's own name where it is ``other``."""
    match = _FRONT_MATTER.match(_head(path) or "") if path.is_file() else None
    if match is None:
        return None
    found = _FIELD.search(match["body"])
    value = found["value"].strip("'\"") if found else None
    if value == "other":
        named = _NAME_FIELD.search(match["body"])
        value = named["value"].strip("'\"") if named else value
    return value


def _recognize(text: str | None) -> str | None:
    lower = " ".join((text or "").lower().split())
    return next(
        (name for name, marks in _KNOWN_TEXTS if all(mark in lower for mark in marks)), None
    )
