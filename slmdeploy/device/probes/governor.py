"""Who chooses the clocks: the cpufreq governor of each policy."""

from __future__ import annotations

from slmdeploy.device.probes.text import absent, keys, word
from slmdeploy.device.probes.types import Measured, Probe, Raw, Source

__all__ = ["GOVERNOR", "parse_governor"]

_PATTERN = "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor"


def parse_governor(raw: Raw) -> tuple[Measured, ...]:
    """One word per policy."""
    found = []
    for key in keys(raw, _PATTERN):
        said = word(raw, key)
        found.append(Measured("governor", key.split("/")[-2], said.text, key, said.reason))
    return tuple(found) or (absent("governor", _PATTERN, "the kernel has no cpufreq here"),)


GOVERNOR = Probe("governor", (Source(_PATTERN, 5.0),), parse_governor)
