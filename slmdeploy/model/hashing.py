"""One sha256 for a model's weights, kept so that files are not read twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from slmdeploy.errors import ModelReadError
from slmdeploy.places import cache_dir

__all__ = ["file_sha256", "files_sha256"]

_CACHE_NAME = "sha256.json"
_MOST_ENTRIES = 1000


def files_sha256(paths: Sequence[Path]) -> str:
    """A hash of files' contents and names, whatever folder they are in.

    Of one file it is the file's own sha256, as published beside downloads; of several
    it is the sha256 of ``<sha256>  <name>`` lines in the order of their names.

    Raises:
        ModelReadError: A file cannot be read.
    """
    sums = [(path.name, file_sha256(path)) for path in sorted(paths, key=lambda path: path.name)]
    if len(sums) == 1:
        return sums[0][1]
    lines = "".join(f"{value}  {name}\n" for name, value in sums)
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def file_sha256(path: Path) -> str:
    """A file's sha256 (hex); remembered by path, size and time of change.

    Raises:
        ModelReadError: The file cannot be read.
    """
    try:
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"
        known = _remembered()
        if key not in known:
            with path.open("rb") as file:
                known[key] = hashlib.file_digest(file, "sha256").hexdigest()
            _remember(known)
    except OSError as error:
        raise ModelReadError(f"{path} cannot be read: {error.strerror}.") from error
    return known[key]


def _remembered() -> dict[str, str]:
    try:
        found = json.loads((cache_dir() / _CACHE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _remember(known: dict[str, str]) -> None:
    """Write the cache whole or not at all; without one, files are only read again."""
    kept = dict(list(known.items())[-_MOST_ENTRIES:])
    with contextlib.suppress(OSError):
        cache_dir().mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=cache_dir(), prefix=_CACHE_NAME)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(kept, file, indent=0)
        Path(name).replace(cache_dir() / _CACHE_NAME)
