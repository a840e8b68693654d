"""The power mode of a Jetson."""

from __future__ import annotations

import re

from slmdeploy.device.probes.text import absent, said
from slmdeploy.device.probes.types import Measured, Probe, Raw, Source

__all__ = ["MODE", "parse_mode"]

_NVPMODEL = ("nvpmodel", "-q")


def parse_mode(raw: Raw) -> tuple[Measured, ...]:
    """The mode's name: its number means another one on another board."""
    key = " ".join(_NVPMODEL)
    found = said(raw, key)
    name = re.search(r"^NV Power Mode:[ \t]*(\S+)[ \t]*$", found.text or "", re.MULTILINE)
    if name:
        return (Measured("power_mode", "", name[1], key),)
    return (absent("power_mode", key, found.reason or "it named no power mode"),)


MODE = Probe("mode", (Source(_NVPMODEL),), parse_mode)
