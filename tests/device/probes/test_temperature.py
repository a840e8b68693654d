from __future__ import annotations

import pytest

from slmdeploy.device.probes.temperature import TEMPERATURE, parse_temperature
from slmdeploy.device.probes.types import Text

from .recorded import reasons, values


def test_a_raspberry_pi_has_one_zone_and_its_peripheral_chip():
    assert values(TEMPERATURE, "rpi5") == {
        "temperature_c/cpu-thermal": 48.9,
        "temperature_c/rp1_adc temp1": 47.5,
    }


def test_a_zone_that_hwmon_shows_again_is_told_once():
    found = parse_temperature(
        {
            "/sys/class/thermal/thermal_zone0/type": Text("cpu-thermal\n"),
            "/sys/class/thermal/thermal_zone0/temp": Text("50000\n"),
            "/sys/class/hwmon/hwmon0/name": Text("cpu_thermal\n"),
            "/sys/class/hwmon/hwmon0/temp1_input": Text("50000\n"),
        }
    )
    assert [one.of for one in found] == ["cpu-thermal"]


def test_zones_of_a_jetson_that_are_powered_down_have_no_temperature():
    known = values(TEMPERATURE, "orin-nano")
    assert known["temperature_c/tj-thermal"] == 47.968
    assert known["temperature_c/cv0-thermal"] is None
    assert reasons(TEMPERATURE, "orin-nano")["temperature_c/cv0-thermal"] == "Is a directory"


def test_the_sentinel_of_a_powered_down_zone_is_no_temperature():
    assert reasons(TEMPERATURE, "orin-nano", "throttled") == {
        "temperature_c/cv0-thermal": "the sensor says -256 C: it is powered down or not there"
    }


@pytest.mark.parametrize("said", ["", "\n", "hot", "48.9", "1\n2\n", "9" * 30])
def test_what_is_no_number_has_a_reason(said):
    zone = "/sys/class/thermal/thermal_zone0"
    (found,) = parse_temperature({f"{zone}/temp": Text(said), f"{zone}/type": Text("cpu\n")})
    assert found.value is None
    assert found.reason


def test_a_board_without_zones_says_so():
    (found,) = parse_temperature({})
    assert (found.value, found.reason) == (None, "no thermal zone on this board")


def test_a_value_knows_its_sensor_its_unit_and_its_definition():
    zone = "/sys/class/thermal/thermal_zone0"
    (found,) = parse_temperature({f"{zone}/temp": Text("50000"), f"{zone}/type": Text("cpu")})
    assert (found.value, found.unit, found.sensor) == (50.0, "C", f"{zone}/temp")
    assert found.definition.text.startswith("Temperature")
