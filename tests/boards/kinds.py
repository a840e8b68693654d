"""The kinds of emulated boards, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.boards.jetson import (
    AGX_ORIN_VALUES,
    ORIN_NANO_VALUES,
    RELEASE,
    agx_orin_tree,
    orin_nano_tree,
)
from tests.boards.raspberry_pi import PI4_VALUES, PI5_VALUES, pi4_tree, pi5_tree
from tests.boards.sensor_files import Maker

JETSON_TOOLS = ("nvpmodel", "tegrastats", "jetson_clocks")


@dataclass(frozen=True)
class Kind:
    """A kind of board.

    Attributes:
        name: What a person calls it: ``rpi5``.
        board: The key of target profiles and of ``devices.toml``.
        cpu: What qemu computes as; Debian 12's has no Cortex-A78AE.
        release: The kernel that ``uname -r`` names.
        tree: Makes the sensors' files.
        values: What the sensors show at first.
        tools: The vendor's programs that it has.
    """

    name: str
    board: str
    cpu: str
    release: str
    tree: Maker
    values: Mapping[str, Any]
    tools: tuple[str, ...]


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            name="rpi4",
            board="rpi4",
            cpu="cortex-a72",
            release="6.6.51+rpt-rpi-v8",
            tree=pi4_tree,
            values=PI4_VALUES,
            tools=("vcgencmd",),
        ),
        Kind(
            name="rpi5",
            board="rpi5",
            cpu="cortex-a76",
            release="6.6.51+rpt-rpi-2712",
            tree=pi5_tree,
            values=PI5_VALUES,
            tools=("vcgencmd",),
        ),
        Kind(
            name="orin-nano",
            board="jetson-orin-nano",
            cpu="cortex-a76",
            release=RELEASE,
            tree=orin_nano_tree,
            values=ORIN_NANO_VALUES,
            tools=JETSON_TOOLS,
        ),
        Kind(
            name="agx-orin",
            board="jetson-agx-orin",
            cpu="cortex-a76",
            release=RELEASE,
            tree=agx_orin_tree,
            values=AGX_ORIN_VALUES,
            tools=JETSON_TOOLS,
        ),
    )
}
