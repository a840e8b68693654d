"""Which kind of board it is, and which system is on it; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["parse_board_kind", "parse_l4t", "parse_os_name", "parse_slow_down"]

# "compatible" of the device tree, from Linux's and NVIDIA's device tree sources, to the
# key that devices.toml and target profiles have.
BOARDS = {
    "raspberrypi,5-model-b": "rpi5",
    "raspberrypi,500": "rpi5",
    "raspberrypi,5-compute-module": "rpi5",
    "raspberrypi,4-model-b": "rpi4",
    "raspberrypi,400": "rpi4",
    "raspberrypi,4-compute-module": "rpi4",
    "nvidia,p3767-0003": "jetson-orin-nano",
    "nvidia,p3767-0004": "jetson-orin-nano",
    "nvidia,p3767-0005": "jetson-orin-nano",
    "nvidia,p3767-0000": "jetson-orin-nx",
    "nvidia,p3767-0001": "jetson-orin-nx",
    "nvidia,p3701-0000": "jetson-agx-orin",
    "nvidia,p3701-0004": "jetson-agx-orin",
    "nvidia,p3701-0005": "jetson-agx-orin",
    "nvidia,p3701-0008": "jetson-agx-orin",
}
# The model's text, where "compatible" says nothing that we know; the first that fits.
MODELS = (
    ("Raspberry Pi 5", "rpi5"),
    ("Raspberry Pi Compute Module 5", "rpi5"),
    ("Raspberry Pi 4", "rpi4"),
    ("Raspberry Pi Compute Module 4", "rpi4"),
    ("Orin Nano", "jetson-orin-nano"),
    ("Orin NX", "jetson-orin-nx"),
    ("AGX Orin", "jetson-agx-orin"),
    ("Jetson Nano", "jetson-nano"),
)


def parse_board_kind(compatible: str, model: str) -> str | None:
    """Key of the kind of board; ``None`` for one that we do not know."""
    for word in re.split(r"[\0\n]", compatible):
        if word in BOARDS:
            return BOARDS[word]
    return next((kind for text, kind in MODELS if text in model), None)


def parse_l4t(text: str) -> tuple[int, str]:
    """Release and revision of Jetson Linux, from ``/etc/nv_tegra_release``."""
    found = re.search(r"^# R(\d+) \(release\), REVISION: ([\d.]+)", text, flags=re.MULTILINE)
    if not found:
        raise ValueError(f"no release in {text.strip()!r}")
    return int(found[1]), found[2]


def parse_os_name(text: str) -> str:
    """The system's own name, from ``/etc/os-release``."""
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', text, flags=re.MULTILINE)
    if not found:
        raise ValueError("/etc/os-release has no PRETTY_NAME")
    return found[1]


def parse_slow_down(files: Mapping[str, str]) -> float:
    """Where the kernel begins to slow the board down, in degrees Celsius.

    That is its lowest passive trip point (Linux, ``Documentation/driver-api/thermal``);
    active ones switch fans. A Raspberry Pi has none: there the firmware does it.

    Args:
        files: Text of each ``trip_point_N_type`` and ``trip_point_N_temp`` by path.

    Raises:
        ValueError: The kernel has no such point.
    """
    degrees = [
        int(files[temp]) / 1000
        for path, kind in files.items()
        if path.endswith("_type") and kind.strip() == "passive"
        for temp in [path.removesuffix("_type") + "_temp"]
        if files.get(temp, "").strip().isdigit()
    ]
    if not degrees:
        raise ValueError("the kernel has no passive trip point")
    return min(degrees)
