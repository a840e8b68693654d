from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.probes.definitions import DEFINITIONS
from slmdeploy.device.probes.power import POWER, parse_power
from slmdeploy.device.probes.types import Text

from .recorded import reasons, values

PMIC = "vcgencmd pmic_read_adc"
AMPERES = st.floats(0, 50, allow_nan=False)


def test_a_raspberry_pi_5_has_an_estimate_over_the_rails_that_have_both():
    known = values(POWER, "rpi5")
    assert known["power_rail_w/VDD_CORE"] == pytest.approx(5.03652 * 0.8936988)
    assert known["power_pmic_w/sum of rails"] == pytest.approx(5.9216122)
    assert not any("EXT5V" in name or "BATT" in name for name in known)
    assert DEFINITIONS["power_pmic_w"].estimate


def test_a_rail_that_says_nan_leaves_no_sum_over_the_others():
    lost = reasons(POWER, "rpi5", "throttled")
    assert "nan V" in lost["power_rail_w/VDD_CORE"]
    assert "nan V" in lost["power_pmic_w/sum of rails"]


def test_an_orin_nano_measures_its_input():
    known = values(POWER, "orin-nano")
    assert known["power_total_w/VDD_IN"] == pytest.approx(4.944 * 1.008)
    assert known["power_rail_w/VDD_SOC"] == pytest.approx(4.944 * 0.304)
    assert not any(name.startswith("power_rails_w") for name in known)


def test_an_agx_orin_has_a_sum_of_its_rails_and_is_said_to():
    known = values(POWER, "agx-orin")
    rails = [value for name, value in known.items() if name.startswith("power_rail_w")]
    assert len(rails) == 4
    assert known["power_rails_w/sum of rails"] == pytest.approx(sum(rails))
    assert not any(name.startswith("power_total_w") for name in known)
    assert not any("NC" in name or "shunt" in name for name in known)


def test_a_raspberry_pi_4_has_no_sensor_and_says_so():
    assert reasons(POWER, "rpi4") == {
        "power_total_w": "this board has no power sensor: no ina3221, and vcgencmd pmic_read_adc:"
        " Command not registered"
    }


def test_a_current_that_cannot_be_read_leaves_no_power():
    folder = "/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    found = parse_power(
        {
            f"{folder}/in1_label": Text("VDD_IN\n"),
            f"{folder}/in1_input": Text("4944\n"),
            f"{folder}/curr1_input": Text(None, "Permission denied"),
        }
    )
    assert {(one.value, one.reason) for one in found} == {(None, "Permission denied")}


@given(rails=st.dictionaries(st.from_regex(r"[A-Z0-9_]{1,9}[A-Z]", fullmatch=True), AMPERES))
def test_the_estimate_is_the_sum_whatever_the_rails_are_called(rails):
    rows = [
        f"  {name}_A current({i})={amperes!r}A\n" for i, (name, amperes) in enumerate(rails.items())
    ]
    rows += [f"  {name}_V volt({i})=2.0V\n" for i, name in enumerate(rails)]
    found = {one.quantity: one.value for one in parse_power({PMIC: Text("".join(rows))})}
    if rails:
        assert found["power_pmic_w"] == pytest.approx(2.0 * sum(rails.values()))
    else:
        assert found == {"power_total_w": None}
