"""Where emulated boards live on this computer: a cache outside the repository, and what runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

CACHE_VARIABLE = "SLMDEPLOY_BOARDS_CACHE"
RUN_VARIABLE = "SLMDEPLOY_BOARDS_RUN"
# Now, not later: tests put other folders into HOME.
HOME = Path.home()
UNUSED_SECONDS = 30 * 86400


class BoardError(RuntimeError):
    """An emulated board cannot be made, or does not do what it should."""


def cache() -> Path:
    """The folder of root file systems and disk images; it can be deleted at any time."""
    named = os.environ.get(CACHE_VARIABLE)
    folder = Path(named) if named else HOME / ".cache/slmdeploy-boards"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run_folder() -> Path:
    """The folder of running boards, the same for all of this computer: addresses are shared."""
    folder = Path(os.environ.get(RUN_VARIABLE, "/var/tmp/slmdeploy-boards"))  # noqa: S108
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    return folder


def remove_unused(pattern: str) -> None:
    """Remove what an older checkout put into the cache and nobody used for weeks."""
    for path in cache().glob(pattern):
        if time.time() - path.stat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(path)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file: two test workers build a thing once."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
