"""Which board and which system it is, from what the kernel and its files say."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.doctor.boards import (
    parse_board_kind,
    parse_l4t,
    parse_os_name,
    parse_slow_down,
)


@pytest.mark.parametrize(
    ("compatible", "model", "kind"),
    [
        ("raspberrypi,5-model-b\0brcm,bcm2712\0", "", "rpi5"),
        ("raspberrypi,4-model-b\0brcm,bcm2711\0", "", "rpi4"),
        ("nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0", "", "jetson-orin-nano"),
        ("nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0", "", "jetson-agx-orin"),
        ("new,thing\0", "NVIDIA Jetson Orin Nano Developer Kit", "jetson-orin-nano"),
        ("", "Raspberry Pi 4 Model B Rev 1.5", "rpi4"),
        ("rockchip,rk3588\0", "Radxa ROCK 5B", None),
    ],
)
def test_the_kind_of_board_from_its_device_tree(compatible: str, model: str, kind: str | None):
    assert parse_board_kind(compatible, model) == kind


def test_the_release_of_jetson_linux():
    text = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"
    assert parse_l4t(text) == (36, "4.3")


def test_the_name_of_the_system():
    assert parse_os_name('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\n') == "Debian GNU/Linux 12"


def test_the_lowest_passive_trip_point_slows_the_board_down():
    zone = "/sys/class/thermal/thermal_zone0/trip_point"
    files = {
        f"{zone}_0_type": "active\n",
        f"{zone}_0_temp": "50000\n",
        f"{zone}_1_type": "passive\n",
        f"{zone}_1_temp": "99000\n",
        f"{zone}_2_type": "passive\n",
        f"{zone}_2_temp": "97500\n",
    }
    assert parse_slow_down(files) == 97.5


def test_fans_and_shutdown_are_no_slowing_down():
    zone = "/sys/class/thermal/thermal_zone0/trip_point_0"
    with pytest.raises(ValueError, match="passive"):
        parse_slow_down({f"{zone}_type": "critical\n", f"{zone}_temp": "110000\n"})


@pytest.mark.parametrize(
    "parse",
    [
        parse_l4t,
        parse_os_name,
        lambda text: parse_board_kind(text, text),
    ],
)
@given(text=st.text(max_size=200))
def test_parsers_refuse_rubbish_in_one_way_only(parse: Callable[[str], object], text: str):
    with contextlib.suppress(ValueError):
        parse(text)
