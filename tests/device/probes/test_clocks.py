from __future__ import annotations

from slmdeploy.device.probes.clocks import CLOCKS
from slmdeploy.device.probes.governor import GOVERNOR

from .recorded import reasons, values
from .recorded import values as recorded


def test_a_policy_has_its_clock_its_cap_and_the_hardwares_limit():
    assert values(CLOCKS, "rpi5") == {
        "clock_mhz/policy0": 1700.0,
        "clock_cap_mhz/policy0": 2400.0,
        "clock_floor_mhz/policy0": 1500.0,
        "clock_limit_mhz/policy0": 2400.0,
        "clock_measured_mhz/arm": 1700.016256,
    }


def test_the_firmware_of_a_raspberry_pi_4_numbers_the_clock_otherwise():
    assert values(CLOCKS, "rpi4")["clock_measured_mhz/arm"] == 1500.016256


def test_each_cluster_of_a_jetson_is_a_policy_and_a_cap_shows():
    known = values(CLOCKS, "orin-nano", "throttled")
    assert known["clock_cap_mhz/policy4"] == 1113.6
    assert known["clock_limit_mhz/policy4"] == 1728.0
    assert "clock_measured_mhz/arm" not in known


def test_a_kernel_without_cpufreq_says_so():
    assert CLOCKS.parse is not None
    found = CLOCKS.parse({})
    assert {one.quantity for one in found} == {"clock_mhz", "clock_cap_mhz"}
    assert {one.reason for one in found} == {"the kernel has no cpufreq here"}


def test_the_governor_is_a_word_per_policy():
    assert recorded(GOVERNOR, "agx-orin") == {
        f"governor/policy{first}": "schedutil" for first in (0, 4, 8)
    }
    assert reasons(GOVERNOR, "rpi5") == {}
