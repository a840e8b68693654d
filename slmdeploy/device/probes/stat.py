"""``/proc/PID/stat`` and ``/proc/stat``, by the manual page proc(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["CpuTime", "ProcessStat", "parse_cpu_time", "parse_stat", "parse_stats"]

_ROW = re.compile(r"^([0-9]{1,9}) \((.*)\) (\S (?:-?[0-9]{1,20} ){18}[0-9]{1,20})\b", re.DOTALL)
_NEXT = re.compile(r"\n(?=[0-9]{1,9} \()")


@dataclass(frozen=True)
class ProcessStat:
    """What is used of a process's row.

    Attributes:
        ticks: Processor time so far, in user and kernel mode, in clock ticks.
        started: When it was started, in ticks since the board was: with the pid, it
            tells a process from a later one.
    """

    pid: int
    name: str
    parent: int
    major_faults: int
    ticks: int
    started: int


@dataclass(frozen=True)
class CpuTime:
    """Processor time of the whole board so far, in clock ticks.

    Attributes:
        busy: Not idle and not waiting for a disk.
        total: Of all cores.
        cores: How many are online.
    """

    busy: int
    total: int
    cores: int


def parse_stat(text: str) -> ProcessStat | None:
    """A process's row; ``None`` if it is not one. Its name may hold anything."""
    found = _ROW.match(text)
    if not found:
        return None
    rest = found[3].split()
    return ProcessStat(
        pid=int(found[1]),
        name=found[2],
        parent=int(rest[1]),
        major_faults=int(rest[9]),
        ticks=int(rest[11]) + int(rest[12]),
        started=int(rest[19]),
    )


def parse_stats(text: str) -> dict[tuple[int, int], ProcessStat]:
    """The rows of many processes, one after another, by pid and start."""
    rows = (parse_stat(row) for row in _NEXT.split(text))
    return {(row.pid, row.started): row for row in rows if row is not None}


def parse_cpu_time(text: str) -> CpuTime | None:
    """``/proc/stat``; ``None`` if it has no row of all cores. Guests are in user's time."""
    rows = [line.split() for line in text.splitlines() if line.startswith("cpu")]
    numbered = [row for row in rows if re.fullmatch(r"cpu[0-9]+", row[0])]
    whole = next((row[1:9] for row in rows if row[0] == "cpu"), [])
    if len(whole) < 4 or not all(re.fullmatch(r"[0-9]{1,20}", part) for part in whole):
        return None
    ticks = [int(part) for part in whole]
    return CpuTime(busy=sum(ticks) - sum(ticks[3:5]), total=sum(ticks), cores=max(1, len(numbered)))
