"""Takes files out of a wheel. It is a zip, and nothing of it is installed, imported or run.

A wheel comes from an index that is not ours, so it is opened as what it may be: cut off,
damaged, or made to write outside its folder or to fill the disk.
"""

from __future__ import annotations

import errno
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from slmdeploy.errors import OfflineError

__all__ = ["MOST_BYTES", "unpack"]

MOST_BYTES: Final = 1 << 30
"""More than any wheel that boards need holds; a bomb says more."""

# What zipfile raises for a file that is not what it should be: a compression or password
# that it cannot take, a position before the file's start, a name that is a folder too.
_DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError),
    *(NotImplementedError, RuntimeError, OSError),
)
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO}


def unpack(
    wheel: Path, wanted: Callable[[str], bool], into: Path, *, most_bytes: int = MOST_BYTES
) -> tuple[str, ...]:
    """Write the wanted members of a wheel below a folder.

    Args:
        wheel: The file.
        wanted: Whether a member is taken, by its name in the wheel.
        into: The folder; must exist.
        most_bytes: Refuse what would unpack to more.

    Returns:
        Names of what was taken, in the wheel's order.

    Raises:
        OfflineError: It is damaged or not a wheel, or a member's name leads elsewhere.
        OSError: The disk is full.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [info for info in archive.infolist() if _is_wanted(info, wanted)]
            _refuse_much(members, most_bytes)
            for info in members:
                archive.extract(info, into)
    except _DAMAGES as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        raise OfflineError(
            f"{wheel.name} is damaged: {error or type(error).__name__}.",
            hint="Run the same command again.",
        ) from error
    return tuple(info.filename for info in members)


def _is_wanted(info: zipfile.ZipInfo, wanted: Callable[[str], bool]) -> bool:
    if info.is_dir() or not wanted(info.filename):
        return False
    faults = list(_faults(info))
    if faults:
        raise zipfile.BadZipFile(f"{info.filename!r} {faults[0]}")
    return True


def _faults(info: zipfile.ZipInfo) -> Iterator[str]:
    """What keeps a member from being a plain file below the folder."""
    path = PurePosixPath(info.filename)
    # zipfile cuts the name at a NUL, and takes a drive or ".." out of it, each silently.
    if path.is_absolute() or ".." in path.parts or "\\" in info.filename or not path.parts:
        yield "leads out of its folder"
    if info.orig_filename != info.filename or not info.filename.isprintable():
        yield "is not a name of a file"
    if stat.S_ISLNK(info.external_attr >> 16):
        yield "is a link"


def _refuse_much(members: list[zipfile.ZipInfo], most_bytes: int) -> None:
    total = sum(info.file_size for info in members)
    if total > most_bytes:
        raise zipfile.BadZipFile(f"it would unpack to {total} bytes")
