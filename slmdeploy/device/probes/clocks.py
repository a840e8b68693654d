"""Clocks and their caps, per CPU policy.

Files: the kernel's ``Documentation/admin-guide/pm/cpufreq.rst`` (kHz).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from slmdeploy.device.probes.text import absent, keys, measured, said
from slmdeploy.device.probes.types import Measured, Probe, Raw, Source

__all__ = ["CLOCKS", "parse_clocks"]

_POLICY = "/sys/devices/system/cpu/cpufreq/policy*"
_ARM = ("vcgencmd", "measure_clock", "arm")
_FILES = {
    "scaling_cur_freq": "clock_mhz",
    "scaling_max_freq": "clock_cap_mhz",
    "scaling_min_freq": "clock_floor_mhz",
    "cpuinfo_max_freq": "clock_limit_mhz",
}


def parse_clocks(raw: Raw) -> tuple[Measured, ...]:
    """Clock, cap, floor and hardware limit of each policy; and the firmware's own."""
    found = tuple(
        measured(raw, quantity, key.split("/")[-2], key, 1000)
        for name, quantity in _FILES.items()
        for key in keys(raw, f"{_POLICY}/{name}")
    )
    missing = tuple(
        absent(_FILES[name], f"{_POLICY}/{name}", "the kernel has no cpufreq here")
        for name in ("scaling_cur_freq", "scaling_max_freq")
    )
    return (*(found or missing), *_firmware(raw))


def _firmware(raw: Raw) -> Iterator[Measured]:
    """A Raspberry Pi's; other boards have no such command, and nothing is said of it."""
    key = " ".join(_ARM)
    found = re.search(r"frequency\([0-9]+\)=([0-9]{1,12})\b", said(raw, key).text or "")
    if found:
        yield Measured("clock_measured_mhz", "arm", int(found[1]) / 1e6, key)


CLOCKS = Probe(
    "clocks",
    (
        Source(f"{_POLICY}/scaling_cur_freq", 0.5),
        Source(f"{_POLICY}/scaling_max_freq", 0.5),
        Source(f"{_POLICY}/scaling_min_freq"),
        Source(f"{_POLICY}/cpuinfo_max_freq"),
        Source(_ARM, 4.0),
    ),
    parse_clocks,
)
