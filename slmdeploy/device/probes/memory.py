"""Memory, swap and zram of the board. Fields of ``/proc``: the manual page proc(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from slmdeploy.device.probes.text import absent, said
from slmdeploy.device.probes.types import Measured, Probe, Raw, Source

__all__ = ["MEMORY", "parse_memory"]

_MEMINFO, _SWAPS, _VMSTAT = "/proc/meminfo", "/proc/swaps", "/proc/vmstat"
_FIELDS = {
    "MemTotal": "memory_total_bytes",
    "MemAvailable": "memory_available_bytes",
    "SwapTotal": "swap_total_bytes",
}
_COUNTERS = {"pswpin": "pages_swapped_in", "pswpout": "pages_swapped_out"}
_SWAP_ROW = re.compile(r"^(\S+)\s+(?:partition|file)\s+[0-9]+\s+([0-9]{1,15})\b", re.MULTILINE)


def parse_memory(raw: Raw) -> tuple[Measured, ...]:
    """Main memory, swap, zram, and pages that were swapped."""
    return (
        *(_field(raw, field, quantity) for field, quantity in _FIELDS.items()),
        _used(raw),
        _zram(raw),
        *_counters(raw),
    )


def _kib(text: str | None, field: str) -> float | None:
    found = re.search(rf"^{field}:[ \t]+([0-9]{{1,15}}) kB$", text or "", re.MULTILINE)
    return int(found[1]) * 1024.0 if found else None


def _field(raw: Raw, field: str, quantity: str) -> Measured:
    found = said(raw, _MEMINFO)
    value = _kib(found.text, field)
    reason = None if value is not None else found.reason or f"it has no field {field}"
    return Measured(quantity, "", value, _MEMINFO, reason)


def _used(raw: Raw) -> Measured:
    found = said(raw, _MEMINFO)
    total, free = _kib(found.text, "SwapTotal"), _kib(found.text, "SwapFree")
    if total is None or free is None:
        return absent("swap_used_bytes", _MEMINFO, found.reason or "it has no field SwapFree")
    return Measured("swap_used_bytes", "", total - free, _MEMINFO)


def _zram(raw: Raw) -> Measured:
    found = said(raw, _SWAPS)
    if found.text is None:
        return absent("zram_used_bytes", _SWAPS, found.reason or "it cannot be read")
    areas = [int(used) for name, used in _SWAP_ROW.findall(found.text) if "/zram" in name]
    if not areas:
        return absent("zram_used_bytes", _SWAPS, "no swap area is zram")
    return Measured("zram_used_bytes", "", sum(areas) * 1024.0, _SWAPS)


def _counters(raw: Raw) -> Iterator[Measured]:
    found = said(raw, _VMSTAT)
    for field, quantity in _COUNTERS.items():
        value = re.search(rf"^{field} ([0-9]{{1,18}})$", found.text or "", re.MULTILINE)
        if value:
            yield Measured(quantity, "", float(value[1]), _VMSTAT)
        else:
            yield absent(quantity, _VMSTAT, found.reason or f"it has no field {field}")


MEMORY = Probe(
    "memory",
    (Source(_MEMINFO, 2.0), Source(_SWAPS, 2.0), Source(_VMSTAT, 5.0)),
    parse_memory,
)
