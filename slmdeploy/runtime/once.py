"""Make a folder of the cache once, whoever else wants it at the same time."""

from __future__ import annotations

import errno
import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from slmdeploy.errors import DiskSpaceError, HostError

__all__ = ["make_once"]


def make_once(
    folder: Path,
    make: Callable[[Path], None],
    what: str,
    *,
    whole: Callable[[Path], bool] = Path.is_dir,
) -> None:
    """Have a folder made, unless it is there; a second process waits for the first.

    It is made beside its place and renamed when it is whole.

    Args:
        folder: Its place.
        make: Fills an empty folder.
        what: What it holds, for messages, as in ``the runner``.
        whole: Whether it holds all that it should.

    Raises:
        DiskSpaceError: The disk is full.
        HostError: The disk may not be written to.
    """
    if whole(folder):
        return
    with _faults_of(folder.parent, what):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.with_name(f".{folder.name}.lock")):
            if not whole(folder):  # else another process made it meanwhile
                _make(folder, make)


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        make(made)
        shutil.rmtree(folder, ignore_errors=True)  # what is there lacks something
        made.rename(folder)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock that the system lets go of when the process ends, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _faults_of(folder: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise HostError(f"{folder} could not be given {what}: {error}.") from error
        raise DiskSpaceError(
            f"There is no room for {what} in {folder}.",
            hint="Make room, or set SLMDEPLOY_CACHE_DIR to another disk.",
        ) from error
