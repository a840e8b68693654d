"""Texts with the class that each should get: JSON lines with ``text`` and ``label``. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slmdeploy.errors import UsageError

__all__ = ["LabelledTexts", "read_labelled"]


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and the indices of their classes, in the order of the file."""

    texts: tuple[str, ...]
    classes: tuple[int, ...]


def read_labelled(path: Path, labels: Sequence[str]) -> LabelledTexts:
    """Read a file of labelled texts.

    Args:
        path: A JSON object a line: ``{"text": "lights off", "label": "off"}``.
        labels: Names of the model's classes.

    Raises:
        UsageError: The file cannot be read, a line has another form, or a label is not one
            of the model's; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    index = {label: place for place, label in enumerate(labels)}
    found = [_row(path, number, line, index) for number, line in enumerate(lines, 1) if line]
    if not found:
        raise UsageError(f"{path} has no labelled text.")
    return LabelledTexts(tuple(text for text, _ in found), tuple(one for _, one in found))


def _row(path: Path, number: int, line: str, index: dict[str, int]) -> tuple[str, int]:
    try:
        row: Any = json.loads(line)
        text, label = row["text"], row["label"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}, line {number}, is not a labelled text.",
            hint='Write a line each: {"text": "...", "label": "..."}',
        ) from error
    if not isinstance(text, str) or label not in index:
        known = ", ".join(list(index)[:5])
        raise UsageError(
            f"{path}, line {number}: {label!r} is not a label of the model.",
            hint=f"Its labels are {known}" + (" and so on." if len(index) > 5 else "."),
        )
    return text, index[label]
