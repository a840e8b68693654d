"""Files of this computer: put in place whole, or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["link_or_copy", "part_name", "placed"]

LINKED_FROM_BYTES = 1 << 20


def part_name(destination: str) -> str:
    """A name beside the destination that no other transfer uses."""
    return f"{destination}.part-{uuid.uuid4().hex[:12]}"


@contextmanager
def placed(destination: Path) -> Iterator[Path]:
    """Give a path beside the destination, and rename it there when the block is done.

    Missing folders are made. If the block fails, what it wrote is removed and the
    destination is as it was.

    Raises:
        OSError: The folder cannot be written to.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = Path(part_name(str(destination)))
    try:
        yield part
        # Renaming a hard link onto its own file does nothing and leaves the link there.
        part.replace(destination)
    finally:
        part.unlink(missing_ok=True)


def link_or_copy(source: Path, destination: Path, mode: int) -> None:
    """Hard-link a large file if its permissions may stay as they are, else copy it.

    A link shares its permissions and its content with the source: so small files,
    which people edit in place, are copied.
    """
    status = source.stat()
    if status.st_mode & 0o7777 == mode and status.st_size >= LINKED_FROM_BYTES:
        try:
            os.link(source, destination)
        except OSError:  # another file system, or one without links
            pass
        else:
            return
    shutil.copyfile(source, destination)
    destination.chmod(mode)
