"""The runner's own memory, as the kernel counts it."""

from __future__ import annotations

import resource

from slmdeploy.runtime.litert_board.saying import now_ns, say

__all__ = ["say_memory"]

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
