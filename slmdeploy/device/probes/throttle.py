"""Whether the board is held back: by its firmware, its kernel or its supply.

Bits of ``vcgencmd get_throttled``: Raspberry Pi's manual page of vcgencmd. ``soctherm_oc``
and its counters: NVIDIA's Jetson Linux developer guide, "Jetson Orin Nano Series, Jetson
Orin NX Series and Jetson AGX Orin Series" (OC1 under-voltage, OC2 average and OC3
instantaneous over-current). Cooling devices: the kernel's thermal sysfs documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from slmdeploy.device.probes.text import absent, keys, measured, of_chip, said, whole, word
from slmdeploy.device.probes.types import Measured, Probe, Raw, Source

__all__ = ["THROTTLE", "parse_throttle"]

_VCGENCMD = ("vcgencmd", "get_throttled")
_HWMON = "/sys/class/hwmon/hwmon*"
_COOLING = "/sys/class/thermal/cooling_device*"
_INA3221 = "/sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*"
_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
_STICKY = 16
_OVER_CURRENT = {
    "oc1": "oc1 under-voltage",
    "oc2": "oc2 average over-current",
    "oc3": "oc3 over-current",
}
_SLOWING = re.compile(r"(thermal-)?cpufreq-|devfreq-|.*-throttle-alert$")
"""Types of cooling devices that slow something down; a fan is one, too, and does not."""


def parse_throttle(raw: Raw) -> tuple[Measured, ...]:
    """Flags now and since the start, counters, and alarms."""
    others = (*_supply(raw), *_cooling(raw), *_over_current(raw), *_alarms(raw))
    firmware = tuple(_firmware(raw))
    return (*firmware, *others) if firmware[0].value is not None or not others else others


def _firmware(raw: Raw) -> Iterator[Measured]:
    key = " ".join(_VCGENCMD)
    found = said(raw, key)
    bits = re.search(r"throttled=0x([0-9a-fA-F]{1,8})\b", found.text or "")
    if bits is None:
        reason = found.reason or f"it said {(found.text or '').strip()[:60]!r}"
        yield absent("throttle_now", key, reason)
        yield absent("throttle_since_boot", key, reason)
        return
    value = int(bits[1], 16)
    for bit, name in _BITS.items():
        yield Measured("throttle_now", name, float(value >> bit & 1), key)
        yield Measured("throttle_since_boot", name, float(value >> bit + _STICKY & 1), key)


def _supply(raw: Raw) -> Iterator[Measured]:
    """The kernel's own under-voltage alarm of a Raspberry Pi."""
    for key in keys(raw, f"{_HWMON}/in0_lcrit_alarm"):
        if of_chip(raw, key) == "rpi_volt":
            yield _flag(raw, "throttle_now", "supply under-voltage", key)


def _cooling(raw: Raw) -> Iterator[Measured]:
    for key in keys(raw, f"{_COOLING}/cur_state"):
        kind = word(raw, key.rpartition("/")[0] + "/type").text or ""
        if _SLOWING.match(kind):
            yield _flag(raw, "throttle_now", f"cooling by {kind}", key)


def _over_current(raw: Raw) -> Iterator[Measured]:
    for key in keys(raw, f"{_HWMON}/oc*_event_cnt"):
        name = key.rpartition("/")[2].removesuffix("_event_cnt")
        yield measured(raw, "throttle_events", _OVER_CURRENT.get(name, name), key)


def _alarms(raw: Raw) -> Iterator[Measured]:
    for key in keys(raw, f"{_INA3221}/curr[1-3]_*_alarm"):
        folder, _, name = key.rpartition("/")
        label = word(raw, f"{folder}/in{name[4]}_label").text or name[:5]
        if label != "NC":
            kind = "warning" if "_max_" in name else "critical"
            yield _flag(raw, "current_alarm", f"{label} {kind}", key)


def _flag(raw: Raw, quantity: str, of: str, key: str) -> Measured:
    value, reason = whole(raw, key)
    return Measured(quantity, of, None if value is None else float(value > 0), key, reason)


THROTTLE = Probe(
    "throttle",
    (
        Source(_VCGENCMD, 2.0),
        Source(f"{_HWMON}/in0_lcrit_alarm", 0.5),
        Source(f"{_COOLING}/cur_state", 0.5),
        Source(f"{_COOLING}/type"),
        Source(f"{_HWMON}/oc*_event_cnt", 0.5),
        Source(f"{_INA3221}/curr[1-3]_*_alarm", 2.0),
        Source(f"{_INA3221}/in[1-3]_label"),
        Source(f"{_HWMON}/name"),
    ),
    parse_throttle,
)
