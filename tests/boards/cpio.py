"""Write a cpio archive in the "newc" format, which Linux unpacks as its first file system.

Format: kernel documentation, ``driver-api/early-userspace/buffer-format.rst``.
"""

from __future__ import annotations

import gzip
import stat
from collections.abc import Mapping

FILE, FOLDER = stat.S_IFREG | 0o755, stat.S_IFDIR | 0o755


def archive(files: Mapping[str, bytes | None]) -> bytes:
    """A compressed archive of files that all can be run, and of folders (``None``)."""
    parts = [_entry(n, name, content) for n, (name, content) in enumerate(files.items(), 1)]
    return gzip.compress(b"".join([*parts, _entry(0, "TRAILER!!!", b"")]), compresslevel=1)


def _entry(inode: int, name: str, content: bytes | None) -> bytes:
    data = content or b""
    mode = 0 if inode == 0 else FOLDER if content is None else FILE
    path = name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, major, minor, rmajor, rminor, name, check
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + path) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
