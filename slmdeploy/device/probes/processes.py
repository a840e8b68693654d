"""Which other processes keep the processors busy, by their names."""

from __future__ import annotations

from slmdeploy.device.probes.stat import parse_cpu_time, parse_stat, parse_stats
from slmdeploy.device.probes.text import absent, said
from slmdeploy.device.probes.types import AGENT, PID, Measured, Probe, Raw, Source

__all__ = ["PROCESSES", "between_processes"]

_ALL, _EACH = "/proc/stat", "/proc/[0-9]*/stat"
_OWN = (f"/proc/{PID}/stat", f"/proc/{AGENT}/stat")
_NAMED = 3
_LEAST_CORES = 0.01


def between_processes(before: Raw, after: Raw) -> tuple[Measured, ...]:
    """The busiest, as in ``"stress 0.98, sshd 0.03"``; ``"none"`` if nothing was busy."""
    first, last = (parse_cpu_time(said(raw, _ALL).text or "") for raw in (before, after))
    rows, later = (parse_stats(said(raw, _EACH).text or "") for raw in (before, after))
    if first is None or last is None or last.total <= first.total or not later:
        reason = said(after, _EACH).reason or "the kernel does not count processor time here"
        return (absent("busiest_others", _EACH, reason),)
    ticks_per_core = (last.total - first.total) / last.cores
    own = _own(after)
    cores: dict[str, float] = {}
    for key, row in later.items():
        if key in rows and row.pid not in own and row.parent not in own:
            spent = (row.ticks - rows[key].ticks) / ticks_per_core
            cores[row.name] = cores.get(row.name, 0.0) + spent
    busiest = sorted(cores.items(), key=lambda item: -item[1])[:_NAMED]
    text = ", ".join(f"{name} {value:.2f}" for name, value in busiest if value >= _LEAST_CORES)
    return (Measured("busiest_others", "", text or "none", _EACH),)


def _own(raw: Raw) -> set[int]:
    found = (parse_stat(said(raw, key).text or "") for key in _OWN)
    return {row.pid for row in found if row is not None}


PROCESSES = Probe(
    "processes",
    (
        Source(_EACH, 10.0, joined=True),
        Source(_ALL, 10.0, until="intr "),
        *(Source(key, 10.0) for key in _OWN),
    ),
    between=between_processes,
    clock=_EACH,
)
