"""What is kept in the cache of this computer, by kind; all of it can be made again.

Only what is named in ``KINDS`` are ever removed: the cache may have been moved to a
folder that holds other things too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from slmdeploy.errors import HostError, UnknownNameError
from slmdeploy.places import cache_dir

__all__ = ["KINDS", "CacheKind", "clean", "survey"]

KINDS: Mapping[str, str] = {
    "models": "models that were fetched",
    "runners": "runners and kernel libraries that were compiled",
    "runtimes": "runtimes for boards, unpacked",
    "zig": "what the linker for old C libraries keeps",
    "exports": "finished steps of exports",
    "sha256.json": "hashes of models that were read",
}


@dataclass(frozen=True)
class CacheKind:
    """One kind of thing in the cache.

    Attributes:
        bytes: On the disk; a file with several names counts once.
    """

    name: str
    description: str
    path: Path
    files: int
    bytes: int


def survey(kinds: Iterable[str] = ()) -> tuple[CacheKind, ...]:
    """Count what is in the cache.

    Args:
        kinds: Names of ``KINDS``; all where none is given.

    Raises:
        UnknownNameError: There is no such kind.
    """
    names = tuple(dict.fromkeys(kinds)) or tuple(KINDS)
    for name in names:
        if name not in KINDS:
            raise UnknownNameError("kind of cache", name, KINDS)
    return tuple(_count(name, cache_dir() / name) for name in names)


def clean(kinds: Iterable[str] = (), *, dry_run: bool = False) -> tuple[CacheKind, ...]:
    """Remove what is in the cache; gives what was, or would be, removed.

    Args:
        kinds: Names of ``KINDS``; all where none is given.
        dry_run: Remove nothing.

    Raises:
        UnknownNameError: There is no such kind.
        HostError: Something could not be removed.
    """
    found = tuple(kind for kind in survey(kinds) if kind.files)
    for kind in () if dry_run else found:
        _remove(kind.path)
    return found


def _count(name: str, place: Path) -> CacheKind:
    seen: dict[tuple[int, int], int] = {}
    files = 0
    for parent, _, names in _walk(place):
        for file in names:
            try:
                status = os.lstat(os.path.join(parent, file))  # noqa: PTH118 - hot loop
            except FileNotFoundError:
                continue
            files += 1
            seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return CacheKind(name, KINDS[name], place, files, sum(seen.values()))


def _walk(place: Path) -> Iterable[tuple[str, list[str], list[str]]]:
    return [(str(place.parent), [], [place.name])] if place.is_file() else os.walk(place)


def _remove(place: Path) -> None:
    try:
        # A link is not followed: what it points to is not ours.
        place.unlink() if place.is_symlink() or place.is_file() else shutil.rmtree(place)
    except OSError as error:
        raise HostError(
            f"{error.filename or place} cannot be removed: {error.strerror}.",
            hint=f"Look at the rights of {place}.",
        ) from error
