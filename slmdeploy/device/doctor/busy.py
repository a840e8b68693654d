"""Which processes keep a board busy while the doctor looks; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slmdeploy.device.doctor.parsers import parse_files
from slmdeploy.device.probes.stat import CpuTime, ProcessStat, parse_cpu_time, parse_stat

__all__ = ["Process", "parse_busy"]


@dataclass(frozen=True)
class Process:
    """A process that was busy while the doctor looked.

    Attributes:
        share: Of one core; 1.0 is a whole one.
    """

    pid: int
    name: str
    share: float


def parse_busy(before: str, after: str, our: str) -> tuple[Process, ...]:
    """Processes that used a core between two samples, the busiest first; not our own.

    A tick is 10 ms, so between samples half a second apart one tick is 2 % of a core.

    Args:
        before: ``/proc/stat`` and all ``/proc/PID/stat``, as ``parse_files`` takes them.
        after: The same, later.
        our: Ids of the script's shell and of its parent.

    Raises:
        ValueError: The samples cannot be read, or no time passed between them.
    """
    (start, first), (end, second) = _sample(before), _sample(after)
    elapsed = (end.total - start.total) / end.cores
    if elapsed <= 0:
        raise ValueError("no time passed between the samples")
    ours = _own(first, our)
    busy = [
        Process(pid, stat.name, (stat.ticks - first[pid].ticks) / elapsed)
        for pid, stat in second.items()
        if pid not in ours and pid in first and _went_on(first[pid], stat)
    ]
    return tuple(sorted(busy, key=lambda process: -process.share))


def _went_on(before: ProcessStat, after: ProcessStat) -> bool:
    return before.started == after.started and after.ticks > before.ticks


def _sample(text: str) -> tuple[CpuTime, dict[int, ProcessStat]]:
    files = parse_files(text)
    total = parse_cpu_time(files.get("/proc/stat", ""))
    if total is None:
        raise ValueError("/proc/stat cannot be read")
    rows = (parse_stat(line) for line in files.values())
    return total, {row.pid: row for row in rows if row is not None}


def _own(processes: Mapping[int, ProcessStat], our: str) -> frozenset[int]:
    """Our shell, all above it, and all below the one that started it (the SSH session)."""
    ids = {int(word) for word in our.split() if word.isdigit()}
    above = set(ids)
    while more := {processes[pid].parent for pid in above if pid in processes} - above:
        above |= more
    below = set(ids)
    while more := {pid for pid, row in processes.items() if row.parent in below} - below:
        below |= more
    return frozenset(above | below)
