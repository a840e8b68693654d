"""Memory of the watched process. Fields of ``/proc``: the manual page proc(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from slmdeploy.device.probes.stat import parse_stat
from slmdeploy.device.probes.text import absent, said
from slmdeploy.device.probes.types import PID, Measured, Probe, Raw, Source

__all__ = ["PROCESS", "parse_process"]

_STATUS = f"/proc/{PID}/status"
_ROLLUP = f"/proc/{PID}/smaps_rollup"
_STAT = f"/proc/{PID}/stat"
_FIELDS = {
    "VmHWM": "process_peak_rss_bytes",
    "RssAnon": "process_anon_bytes",
    "RssFile": "process_file_bytes",
    "VmSwap": "process_swap_bytes",
}


def parse_process(raw: Raw) -> tuple[Measured, ...]:
    """Memory and major faults, of ``status``, ``smaps_rollup`` and ``stat``."""
    return (
        *(_kib(raw, _STATUS, field, quantity) for field, quantity in _FIELDS.items()),
        _kib(raw, _ROLLUP, "Pss", "process_pss_bytes"),
        *_faults(raw),
    )


def _kib(raw: Raw, key: str, field: str, quantity: str) -> Measured:
    text = said(raw, key)
    found = re.search(rf"^{field}:[ \t]+([0-9]{{1,15}}) kB$", text.text or "", re.MULTILINE)
    if found:
        return Measured(quantity, "", int(found[1]) * 1024.0, key)
    return absent(quantity, key, text.reason or f"it has no field {field}")


def _faults(raw: Raw) -> Iterator[Measured]:
    text = said(raw, _STAT)
    stat = parse_stat(text.text or "")
    if stat is None:
        yield absent("process_major_faults", _STAT, text.reason or "it cannot be read")
    else:
        yield Measured("process_major_faults", "", float(stat.major_faults), _STAT)


PROCESS = Probe(
    "process",
    (Source(_STATUS, 0.5, until="Threads:"), Source(_ROLLUP, 2.0), Source(_STAT, 0.5)),
    parse_process,
)
