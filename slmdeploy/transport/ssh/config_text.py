"""The text of an OpenSSH client configuration, with ``Include`` put in and ``Match exec`` out.

Paramiko's parser knows no ``Include``, takes a ``Match`` criterion that it does not know
for a true one, and runs what ``Match exec`` names. So such blocks are made to match
nothing, and are told. The format is that of ssh_config(5).
"""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slmdeploy.errors import ProfileError

__all__ = ["ConfigText", "read_config"]

KEYWORD = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(\S.*?)\s*$")
EVERY_HOST = "Host *"
NO_HOST = "Host !*"
DEPTH = 16
"""Files within files, as in OpenSSH."""

WITH_VALUE = frozenset({"host", "originalhost", "user", "localuser"})
ALONE = frozenset({"all", "canonical", "final"})


@dataclass(frozen=True)
class ConfigText:
    """A configuration as one text.

    Attributes:
        text: All files, in the order in which they are read.
        remarks: What stands there and is not followed, one sentence each.
    """

    text: str
    remarks: tuple[str, ...] = ()


def read_config(file: Path) -> ConfigText:
    """Read a file and what it includes; a file that is not there is empty.

    Raises:
        ProfileError: A file cannot be read, or files include each other without end.
    """
    if not file.exists():
        return ConfigText("")
    remarks: list[str] = []
    lines = list(_lines(file, remarks, EVERY_HOST, DEPTH))
    return ConfigText("\n".join(lines) + "\n", tuple(remarks))


def _lines(file: Path, remarks: list[str], outer: str, depth: int) -> Iterator[str]:
    """The lines of a file; ``outer`` opened the block in which the file is included."""
    block = outer
    for number, line in enumerate(_text(file, depth).splitlines(), 1):
        where = f"{file}, line {number}"
        keyword, value = _parsed(line)
        if keyword == "include":
            for inner in _included(value, where):
                yield from _lines(inner, remarks, block, depth - 1)
            yield block
        elif keyword in {"host", "match"}:
            block = _block(keyword, value, where, outer, remarks)
            yield block
        else:
            yield line


def _text(file: Path, depth: int) -> str:
    if depth == 0:
        raise ProfileError(f"{file} is included through more than {DEPTH} files.")
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ProfileError(f"{file} cannot be read: {error.strerror or error}.") from error


def _parsed(line: str) -> tuple[str, str]:
    """Keyword in small letters and its value; nothing for other lines."""
    found = KEYWORD.match(line)
    return (found[1].lower(), found[2]) if found else ("", "")


def _included(value: str, where: str) -> list[Path]:
    """The files that exist, sorted within each pattern; seen from ``~/.ssh``."""
    found: list[Path] = []
    for pattern in _words(value, where):
        path = Path.home() / ".ssh" / Path(pattern).expanduser()
        found += [Path(match) for match in sorted(glob.glob(str(path)))]  # noqa: PTH207
    return [path for path in found if path.is_file()]


def _block(keyword: str, value: str, where: str, outer: str, remarks: list[str]) -> str:
    """The line that opens a block, or one that opens it for no host."""
    if outer == NO_HOST:
        return NO_HOST
    if outer != EVERY_HOST:
        raise ProfileError(
            f"{where}: {keyword.capitalize()} inside of the block {outer!r} that includes it.",
            hint="Put the Include before the first Host or Match.",
        )
    if keyword == "host":
        return f"Host {value}"
    criteria, unknown = _criteria(_words(value, where))
    if unknown:
        remarks.append(f"{where}: Match {unknown} is not followed; its block is left out.")
        return NO_HOST
    return f"Match {shlex.join(criteria)}"


def _criteria(words: list[str]) -> tuple[list[str], str | None]:
    """Criteria with their names in small letters, and the first that is not followed."""
    criteria: list[str] = []
    rest = iter(words)
    for word in rest:
        name = word.lower()
        criteria.append(name)
        if name.lstrip("!") in WITH_VALUE:
            criteria += [value for value in [next(rest, None)] if value is not None]
        elif name.lstrip("!") not in ALONE:
            return criteria, name.lstrip("!")
    return criteria, None


def _words(value: str, where: str) -> list[str]:
    try:
        return shlex.split(value, comments=True)
    except ValueError as error:
        raise ProfileError(f"{where}: {value!r} has an open quotation mark.") from error
