"""The runner's own memory, as the kernel counts it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource

from slmdeploy.runtime.litert_board.saying import now_ns, say

__all__ = ["let_go", "say_memory"]

_DONTNEED = 4
"""MADV_DONTNEED of Linux: for a private mapping that was never written nothing is lost."""

_ROWS = {
    "rss_bytes": "VmRSS",
    "anon_bytes": "RssAnon",
    "file_bytes": "RssFile",
    "shmem_bytes": "RssShmem",
    "peak_rss_bytes": "VmHWM",
}


def say_memory(phase: str) -> None:
    """Say what is resident now; ``null`` where it cannot be read."""
    found = _status()
    sizes: dict[str, int | None] = {key: found.get(row) for key, row in _ROWS.items()}
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    say("memory", phase=phase, t_ns=now_ns(), **sizes, major_faults=faults)


def let_go(path: str) -> None:
    """Let the system take the pages of a mapped file, which are read again where needed.

    XNNPACK has packed the weights by now; what it read them from would stay resident.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        libc = ctypes.CDLL(None)
        for first, last in _mappings(os.path.realpath(path)):
            libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _DONTNEED)


def _mappings(path: str) -> list[tuple[int, int]]:
    """Where a file is mapped, read-only: addresses of begin and end."""
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split(None, 5)
            if len(words) == 6 and words[5].strip() == path and words[1].startswith("r--"):
                first, _, last = words[0].partition("-")
                found.append((int(first, 16), int(last, 16)))
    return found


def _status() -> dict[str, int]:
    """Rows of /proc/self/status that are in kB, in bytes."""
    rows = {}
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                words = value.split()
                if len(words) == 2 and words[1] == "kB":
                    rows[name] = int(words[0]) * 1024
    except (OSError, ValueError):
        return {}
    return rows
