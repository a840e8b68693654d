"""Electric power: of rails by their label, and of the board as far as it has a sensor.

INA3221 (Jetson): the kernel's ``Documentation/hwmon/ina3221.rst``, mV and mA; labels in
NVIDIA's device trees. ``vcgencmd pmic_read_adc`` (Raspberry Pi 5): a current and a voltage
per rail; ``EXT5V`` and ``BATT`` have a voltage alone. A Raspberry Pi 4 has no such sensor.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from slmdeploy.device.probes.text import absent, keys, said, whole, word
from slmdeploy.device.probes.types import Measured, Probe, Raw, Source

__all__ = ["POWER", "parse_power"]

_DRIVER = "/sys/bus/i2c/drivers/ina3221"
_INA3221 = f"{_DRIVER}/*/hwmon/hwmon*"
_PMIC = ("vcgencmd", "pmic_read_adc")
_INPUT = "VDD_IN"
"""The rail of an Orin Nano or NX through which all of the module's power comes."""

_UNUSED = {"NC", "sum of shunt voltages"}
_ADC = re.compile(r"^\s*(\w+)_([AV]) (?:current|volt)\([0-9]+\)=(\S+?)([AV])\s*$", re.MULTILINE)


def parse_power(raw: Raw) -> tuple[Measured, ...]:
    """Rails first, then the total, whose quantity says what kind of total it is."""
    if rails := tuple(_ina3221(raw)):
        return (*rails, _module(rails))
    text = said(raw, " ".join(_PMIC)).text
    if rails := tuple(_pmic(text or "")):
        return (*rails, _estimate(rails))
    return (absent("power_total_w", _sensors(raw), _none(raw)),)


def _ina3221(raw: Raw) -> Iterator[Measured]:
    for key in keys(raw, f"{_INA3221}/in[1-3]_input"):
        label = word(raw, key.removesuffix("_input") + "_label").text
        if label is None or label in _UNUSED:
            continue
        folder, _, name = key.rpartition("/")
        current = f"{folder}/curr{name[2]}_input"
        volts, no_volts = whole(raw, key)
        amperes, no_amperes = whole(raw, current)
        known = volts is not None and amperes is not None
        watts = (volts or 0) * (amperes or 0) * 1e-6 if known else None
        yield Measured("power_rail_w", label, watts, f"{key} x {current}", no_volts or no_amperes)


def _module(rails: tuple[Measured, ...]) -> Measured:
    inputs = [rail for rail in rails if rail.of == _INPUT]
    if inputs:
        rail = inputs[0]
        return Measured("power_total_w", _INPUT, rail.value, rail.sensor, rail.reason)
    return _sum("power_rails_w", rails, _DRIVER)


def _pmic(text: str) -> Iterator[Measured]:
    """One value for each rail that has both; the others have no power."""
    found: dict[str, dict[str, str]] = {}
    for rail, kind, value, unit in _ADC.findall(text):
        if kind == unit:
            found.setdefault(rail, {})[kind] = value
    for rail, values in found.items():
        if values.keys() == {"A", "V"}:
            yield _product(rail, values["A"], values["V"])


def _product(rail: str, amperes: str, volts: str) -> Measured:
    key = " ".join(_PMIC)
    try:
        watts = float(amperes) * float(volts)
    except ValueError:
        watts = math.nan
    if math.isfinite(watts):
        return Measured("power_rail_w", rail, watts, key)
    return absent("power_rail_w", key, f"the sensor says {amperes} A and {volts} V", rail)


def _estimate(rails: tuple[Measured, ...]) -> Measured:
    return _sum("power_pmic_w", rails, " ".join(_PMIC))


def _sum(quantity: str, rails: tuple[Measured, ...], sensor: str) -> Measured:
    """No sum of some of them: it would look like less power."""
    values = [rail.value for rail in rails if isinstance(rail.value, float)]
    if len(values) == len(rails):
        return Measured(quantity, "sum of rails", sum(values), sensor)
    lost = next(rail for rail in rails if rail.value is None)
    return absent(quantity, sensor, f"rail {lost.of}: {lost.reason}", "sum of rails")


def _sensors(raw: Raw) -> str:
    key = " ".join(_PMIC)
    return key if key in raw else f"{_INA3221}/in[1-3]_input"


def _none(raw: Raw) -> str:
    found = said(raw, " ".join(_PMIC))
    error = re.search(r'error_msg="([^"]*)"', f"{found.text or ''} {found.reason or ''}")
    why = error[1] if error else found.reason or "it named no rail with a current"
    return f"this board has no power sensor: no ina3221, and vcgencmd pmic_read_adc: {why}"


POWER = Probe(
    "power",
    (
        Source(f"{_INA3221}/in[1-3]_input", 0.5),
        Source(f"{_INA3221}/curr[1-3]_input", 0.5),
        Source(f"{_INA3221}/in[1-3]_label"),
        Source(_PMIC, 1.0),
    ),
    parse_power,
)
