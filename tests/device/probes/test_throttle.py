from __future__ import annotations

import pytest

from slmdeploy.device.probes.throttle import THROTTLE, parse_throttle
from slmdeploy.device.probes.types import Text

from .recorded import reasons, values

VCGENCMD = "vcgencmd get_throttled"


def flags(said: str) -> set[str]:
    found = parse_throttle({VCGENCMD: Text(said)})
    return {f"{one.quantity.removeprefix('throttle_')}: {one.of}" for one in found if one.value}


@pytest.mark.parametrize(
    ("bits", "wanted"),
    [
        ("0x0", set()),
        ("0x1", {"now: under-voltage"}),
        ("0x2", {"now: frequency capped"}),
        ("0x4", {"now: throttled"}),
        ("0x8", {"now: soft temperature limit"}),
        ("0x10000", {"since_boot: under-voltage"}),
        (
            "0xe0000",
            {
                "since_boot: frequency capped",
                "since_boot: throttled",
                "since_boot: soft temperature limit",
            },
        ),
        (
            "0x50005",
            {
                "now: under-voltage",
                "now: throttled",
                "since_boot: under-voltage",
                "since_boot: throttled",
            },
        ),
    ],
)
def test_each_bit_of_the_firmware_is_a_flag(bits, wanted):
    assert flags(f"throttled={bits}\n") == wanted


def test_a_raspberry_pi_that_is_well_has_no_flag_on():
    assert set(values(THROTTLE, "rpi5").values()) == {0.0}


def test_the_kernels_alarm_of_the_supply_is_read_without_the_firmware():
    known = values(THROTTLE, "rpi5", "throttled")
    assert known["throttle_now/supply under-voltage"] == 1.0


@pytest.mark.parametrize(
    "said", ["", "throttled=", "throttled=0xZZ", "throttled=0x123456789", 'error=1 error_msg="x"']
)
def test_an_answer_without_bits_is_no_all_clear(said):
    found = parse_throttle({VCGENCMD: Text(said)})
    assert {one.value for one in found} == {None}
    assert all(one.reason for one in found)


def test_a_jetson_counts_over_current_and_shows_cooling_that_slows_down():
    known = values(THROTTLE, "orin-nano", "throttled")
    assert known["throttle_events/oc2 average over-current"] == 15.0
    assert known["throttle_events/oc3 over-current"] == 37.0
    assert known["throttle_now/cooling by cpufreq-cpu0"] == 1.0
    assert known["current_alarm/VDD_IN warning"] == 1.0
    assert "throttle_now/cooling by pwm-fan" not in known


def test_a_rail_that_is_not_connected_gives_no_alarm():
    known = values(THROTTLE, "agx-orin")
    assert "current_alarm/VDDQ_VDD2_1V8AO critical" in known
    assert not any("NC" in name for name in known)


def test_a_board_without_any_such_sensor_says_so():
    found = parse_throttle({})
    assert {one.quantity for one in found} == {"throttle_now", "throttle_since_boot"}
    assert {one.reason for one in found} == {"not on this board"}


def test_a_missing_tool_is_the_reason():
    key = "throttle_now"
    found = parse_throttle({VCGENCMD: Text(None, "vcgencmd is not on this board")})
    assert [one.reason for one in found if one.quantity == key] == ["vcgencmd is not on this board"]
    assert reasons(THROTTLE, "rpi4") == {}
