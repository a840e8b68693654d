"""Fans: their speed, and how hard they are driven.

Files: the kernel's ``Documentation/hwmon/sysfs-interface.rst`` (``pwm*`` from 0 to 255);
``rpm`` is the name in NVIDIA's driver.
"""

from __future__ import annotations

from slmdeploy.device.probes.text import absent, keys, measured, of_chip
from slmdeploy.device.probes.types import Measured, Probe, Raw, Source

__all__ = ["FAN", "parse_fan"]

_HWMON = "/sys/class/hwmon/hwmon*"


def parse_fan(raw: Raw) -> tuple[Measured, ...]:
    """Speed and drive of each fan."""
    speeds = [
        measured(raw, "fan_rpm", of_chip(raw, key), key)
        for pattern in ("fan*_input", "rpm")
        for key in keys(raw, f"{_HWMON}/{pattern}")
    ]
    drives = [
        measured(raw, "fan_percent", of_chip(raw, key), key, 2.55)
        for key in keys(raw, f"{_HWMON}/pwm[0-9]")
    ]
    none = absent("fan_rpm", f"{_HWMON}/fan*_input", "no fan that the kernel knows of")
    return (*speeds, *drives) or (none,)


FAN = Probe(
    "fan",
    (
        Source(f"{_HWMON}/fan*_input", 2.0),
        Source(f"{_HWMON}/rpm", 2.0),
        Source(f"{_HWMON}/pwm[0-9]", 2.0),
        Source(f"{_HWMON}/name"),
    ),
    parse_fan,
)
