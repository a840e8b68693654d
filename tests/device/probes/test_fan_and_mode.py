from __future__ import annotations

import pytest

from slmdeploy.device.probes.fan import FAN
from slmdeploy.device.probes.mode import MODE, parse_mode
from slmdeploy.device.probes.types import Text

from .recorded import reasons, values


def test_a_raspberry_pi_5_has_a_fan():
    assert values(FAN, "rpi5")["fan_rpm/pwmfan"] == 2987.0


def test_a_jetson_has_its_speed_at_another_chip_than_its_drive():
    known = values(FAN, "orin-nano")
    assert known["fan_rpm/pwm_tach"] == 1200.0
    assert known["fan_percent/pwmfan"] == pytest.approx(31.37, abs=0.01)


def test_a_raspberry_pi_4_has_none_that_the_kernel_knows():
    assert reasons(FAN, "rpi4") == {"fan_rpm": "no fan that the kernel knows of"}


def test_a_jetsons_power_mode_is_its_name():
    assert values(MODE, "orin-nano") == {"power_mode": "25W"}
    assert values(MODE, "agx-orin") == {"power_mode": "MODE_30W"}
    assert values(MODE, "agx-orin", "hot") == {"power_mode": "MODE_50W"}


def test_a_warning_before_the_mode_is_passed_over():
    said = Text("NVPM WARN: fan mode is not set!\nNV Power Mode: MAXN_SUPER\n2\n")
    assert parse_mode({"nvpmodel -q": said})[0].value == "MAXN_SUPER"


def test_other_boards_have_no_power_mode():
    assert reasons(MODE, "rpi5") == {"power_mode": "nvpmodel is not on this board"}
