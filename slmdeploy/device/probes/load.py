"""What else the processors do: all time less that of the watched process and of the agent.

``/proc/stat`` counts short-lived processes and other users' as well, in the same ticks as
``/proc/PID/stat``: no clock and no length of a tick is needed.
"""

from __future__ import annotations

from slmdeploy.device.probes.stat import parse_cpu_time, parse_stat
from slmdeploy.device.probes.text import absent, said
from slmdeploy.device.probes.types import AGENT, PID, Measured, Probe, Raw, Source

__all__ = ["LOAD", "between_loads"]

_ALL = "/proc/stat"
_OWN = (f"/proc/{PID}/stat", f"/proc/{AGENT}/stat")


def between_loads(before: Raw, after: Raw) -> tuple[Measured, ...]:
    """Cores that were busy between two readings, and those that others kept busy."""
    first, last = (parse_cpu_time(said(raw, _ALL).text or "") for raw in (before, after))
    if first is None or last is None or last.total <= first.total:
        reason = said(after, _ALL).reason or "the kernel does not count processor time here"
        return (
            absent("load_all_cores", _ALL, reason),
            absent("load_others_cores", _ALL, reason),
        )
    ticks_per_core = (last.total - first.total) / last.cores
    busy = last.busy - first.busy
    own = sum(_spent(before, after, key) for key in _OWN)
    return (
        Measured("load_all_cores", "", max(0.0, busy / ticks_per_core), _ALL),
        Measured("load_others_cores", "", max(0.0, (busy - own) / ticks_per_core), _ALL),
    )


def _spent(before: Raw, after: Raw, key: str) -> int:
    """Ticks of one process in between; all of them if it began there."""
    last = parse_stat(said(after, key).text or "")
    if last is None:
        return 0
    first = parse_stat(said(before, key).text or "")
    same = first is not None and (first.pid, first.started) == (last.pid, last.started)
    return last.ticks - first.ticks if first is not None and same else last.ticks


LOAD = Probe(
    "load",
    (Source(_ALL, 0.5, until="intr "), *(Source(key, 0.5) for key in _OWN)),
    between=between_loads,
    clock=_ALL,
)
