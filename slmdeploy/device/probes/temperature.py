"""Temperature of every thermal zone, and of hwmon chips that are no zone.

Zones and their millidegrees: the kernel's ``Documentation/driver-api/thermal/sysfs-api.rst``;
``temp*_input``: ``Documentation/hwmon/sysfs-interface.rst``.
"""

from __future__ import annotations

from collections.abc import Iterator

from slmdeploy.device.probes.text import absent, keys, measured, of_chip, word
from slmdeploy.device.probes.types import Measured, Probe, Raw, Source

__all__ = ["TEMPERATURE", "parse_temperature"]

_ZONES = "/sys/class/thermal/thermal_zone*"
_HWMON = "/sys/class/hwmon/hwmon*"
_LOWEST, _HIGHEST = -60.0, 200.0
"""What silicon can be; a Tegra that is powered down says -256."""


def parse_temperature(raw: Raw) -> tuple[Measured, ...]:
    """One value per zone and per hwmon sensor."""
    found = tuple(_plausible(one) for one in (*_zones(raw), *_chips(raw)))
    return found or (absent("temperature_c", f"{_ZONES}/temp", "no thermal zone on this board"),)


def _zones(raw: Raw) -> Iterator[Measured]:
    for key in keys(raw, f"{_ZONES}/temp"):
        folder = key.rpartition("/")[0]
        name = word(raw, f"{folder}/type").text or folder.rpartition("/")[2]
        yield measured(raw, "temperature_c", name, key, 1000)


def _chips(raw: Raw) -> Iterator[Measured]:
    """The kernel shows most zones as hwmon chips as well; those are left out."""
    zones = {word(raw, key).text for key in keys(raw, f"{_ZONES}/type")}
    plain = {name.replace("-", "_") for name in zones if name}
    for key in keys(raw, f"{_HWMON}/temp*_input"):
        chip = of_chip(raw, key)
        if chip.replace("-", "_") not in plain:
            sensor = key.rpartition("/")[2].removesuffix("_input")
            label = word(raw, key.removesuffix("_input") + "_label").text
            yield measured(raw, "temperature_c", f"{chip} {label or sensor}", key, 1000)


def _plausible(one: Measured) -> Measured:
    if isinstance(one.value, float) and not _LOWEST < one.value < _HIGHEST:
        why = f"the sensor says {one.value:g} C: it is powered down or not there"
        return absent(one.quantity, one.sensor, why, one.of)
    return one


TEMPERATURE = Probe(
    "temperature",
    (
        Source(f"{_ZONES}/temp", 0.5),
        Source(f"{_ZONES}/type"),
        Source(f"{_HWMON}/temp*_input", 0.5),
        Source(f"{_HWMON}/temp*_label"),
        Source(f"{_HWMON}/name"),
    ),
    parse_temperature,
)
