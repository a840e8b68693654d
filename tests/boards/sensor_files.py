"""Files that stand for a board's sensors: a tree made from values, changed while the board runs.

A maker gives the whole tree for a set of values; a change of values writes the files whose
text changes. Where each layout is documented stands in ``fixtures/SOURCES.md``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What programs on the board may have changed since: always written when a test sets it.
_CHANGED_BY_BOARD = {
    "governor": "scaling_governor",
    "max_khz": "scaling_max_freq",
    "min_khz": "scaling_min_freq",
    "mode": "nvpmodel_mode",
}


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


class Folder:
    """An empty folder; in a file's place, reading it is an error, as for a powered-down sensor."""


Entry = str | bytes | Link | Folder
Tree = dict[str, Entry]
Maker = Callable[[Mapping[str, Any]], Tree]


class Sensors:
    """A tree of files below a folder, made from values that can be changed.

    Attributes:
        values: The values that the files show now.
    """

    def __init__(self, folder: Path, maker: Maker, values: Mapping[str, Any]) -> None:
        self.folder = folder
        self.values = dict(values)
        self._maker = maker
        self._tree: Tree = {}

    def write_all(self) -> None:
        """Write the whole tree."""
        self._write(self._maker(self.values))

    def set(self, **values: Any) -> None:
        """Change values, and write the files that show them.

        Raises:
            KeyError: This kind of board has no such value.
        """
        unknown = sorted(set(values) - set(self.values))
        if unknown:
            known = ", ".join(sorted(self.values))
            raise KeyError(f"this board has no {', '.join(unknown)}; it has {known}")
        self.values |= values
        forced = tuple(_CHANGED_BY_BOARD[name] for name in values if name in _CHANGED_BY_BOARD)
        self._write(self._maker(self.values), forced)

    def _write(self, tree: Tree, forced: tuple[str, ...] = ()) -> None:
        for path, entry in tree.items():
            if self._tree.get(path) != entry or path.endswith(forced or ("\0",)):
                write_entry(self.folder / path, entry)
        self._tree = tree


def write_entry(path: Path, entry: Entry) -> None:
    """Write one file, link or folder in the place of whatever is there."""
    if isinstance(entry, Folder):
        path.unlink(missing_ok=True) if path.is_file() else None
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(entry, Link):
        path.unlink(missing_ok=True)
        path.symlink_to(entry.target)
        return
    if path.is_dir():
        shutil.rmtree(path)
    write_in_place(path, entry.encode() if isinstance(entry, str) else entry)


def write_in_place(path: Path, content: bytes) -> None:
    """Write without a moment in which the file is empty, keeping it the same file.

    Files that are bound over those of /proc, and those that a program holds open, stay.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.pwrite(file, content, 0)
        os.ftruncate(file, len(content))
    finally:
        os.close(file)


def lines(rows: Mapping[str, object], form: str = "{}: {}\n") -> str:
    """Rows of a name and a value."""
    return "".join(form.format(name, value) for name, value in rows.items())
