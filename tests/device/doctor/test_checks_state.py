"""How a board is just now, from what its sensors say."""

from __future__ import annotations

import pytest

from slmdeploy.device.doctor.busy import Process
from slmdeploy.device.doctor.checks_state import (
    BUSY_SHARE,
    judge_busy,
    judge_caps,
    judge_governor,
    judge_lease,
    judge_power_mode,
    judge_settings,
    judge_supply,
    judge_temperature,
    judge_throttled,
)
from slmdeploy.device.doctor.places import Home
from slmdeploy.device.facts import Reading
from slmdeploy.device.probes.types import Measured
from slmdeploy.device.runs.lease import Holder
from slmdeploy.device.runs.settings_plan import Saved
from slmdeploy.device.types import Device

BOARD = Device(name="pi5-a", host="10.0.0.5", user="lab")
CAP = "/sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq"


def sensed(quantity, value, of="", sensor="a file", reason=None):
    return Measured(quantity, of, value, sensor, reason)


def flags(quantity, **values):
    return tuple(sensed(quantity, float(v), name.replace("_", " ")) for name, v in values.items())


def governors(*names):
    return tuple(sensed("governor", name) for name in names)


def test_only_performance_keeps_the_clocks():
    assert judge_governor(BOARD, governors("performance"), None).status == "ok"
    check = judge_governor(BOARD, governors("performance", "schedutil"), "bundles/x")
    assert (check.status, check.value) == (
        "warn",
        "performance, schedutil: the clocks vary during a run",
    )
    assert check.fix == ("slmdeploy bench bundles/x --device pi5-a --set-governor performance")


def test_powersave_is_said_to_be_slow():
    assert "lowest" in judge_governor(BOARD, governors("powersave"), None).value


def test_a_cap_below_the_hardware_is_told_with_the_command_that_lifts_it():
    caps = (sensed("clock_cap_mhz", 1500.0, "policy0", CAP),)
    limits = (sensed("clock_limit_mhz", 2400.0, "policy0"),)
    check = judge_caps(BOARD, caps, limits)
    assert (check.status, check.value) == ("warn", "1500 of 2400 MHz")
    assert check.fix == f"ssh lab@10.0.0.5 'echo 2400000 | sudo tee {CAP}'"


def test_no_cap_is_fine():
    caps = (sensed("clock_cap_mhz", 2400.0, "policy0"), sensed("clock_cap_mhz", 1800.0, "policy4"))
    limits = (
        sensed("clock_limit_mhz", 2400.0, "policy0"),
        sensed("clock_limit_mhz", 1800.0, "policy4"),
    )
    check = judge_caps(BOARD, caps, limits)
    assert (check.status, check.value) == ("ok", "2400 of 2400 MHz, 1800 of 1800 MHz")


@pytest.mark.parametrize(
    ("degrees", "status"), [(48.9, "ok"), (60.5, "warn"), (79.9, "warn"), (80.0, "fail")]
)
def test_heat_near_the_limit_and_beyond_it(degrees, status):
    zones = (sensed("temperature_c", 20.0, "x"), sensed("temperature_c", degrees, "cpu-thermal"))
    check = judge_temperature(zones, 80.0)
    assert check.status == status
    assert "cpu-thermal" in check.value


def test_zones_that_are_powered_down_do_not_count():
    zones = (sensed("temperature_c", None, "cv0", reason="off"), sensed("temperature_c", 40.0, "x"))
    assert judge_temperature(zones, 80.0).status == "ok"
    assert judge_temperature(zones[:1], 80.0).value == "off"


@pytest.mark.parametrize(
    ("now", "since", "status"),
    [
        ({"throttled": 0}, {"throttled": 0}, "ok"),
        ({"throttled": 0}, {"throttled": 1}, "warn"),
        ({"throttled": 1}, {"throttled": 1}, "fail"),
        ({"frequency_capped": 1}, {}, "fail"),
    ],
)
def test_throttled_now_and_since_the_start(now, since, status):
    check = judge_throttled(
        BOARD, flags("throttle_now", **now), flags("throttle_since_boot", **since)
    )
    assert check.status == status


def test_a_past_throttling_is_forgotten_by_a_restart():
    check = judge_throttled(BOARD, (), flags("throttle_since_boot", throttled=1))
    assert check.fix == "ssh lab@10.0.0.5 sudo reboot"


def test_under_voltage_is_the_supplys_fault_and_no_throttling():
    low = (sensed("throttle_now", 1.0, "under-voltage"), *flags("throttle_now", throttled=0))
    since = (sensed("throttle_since_boot", 0.0, "under-voltage"),)
    assert judge_throttled(BOARD, low, since).status == "ok"
    check = judge_supply(low, since, "rpi5")
    assert (check.status, check.value) == ("fail", "now: under-voltage")
    assert "27 W" in check.fix


def test_a_supply_that_once_was_too_weak_is_warned_about():
    now = (sensed("throttle_now", 0.0, "under-voltage"),)
    since = (sensed("throttle_since_boot", 1.0, "under-voltage"),)
    assert judge_supply(now, since, "rpi4").status == "warn"


def test_the_alarm_of_a_jetsons_rail_is_the_supplys():
    alarm = (sensed("current_alarm", 1.0, "VDD_IN critical"),)
    assert judge_supply(alarm, (), "jetson-orin-nano").value == "now: VDD_IN critical"


def test_of_the_past_nothing_is_said_where_no_sensor_remembers_it():
    now = (sensed("throttle_now", 0.0, "cooling by cpufreq-cpu0"),)
    assert judge_throttled(BOARD, now, ()).value == "not now"


@pytest.mark.parametrize(
    ("mode", "said"),
    [("MAXN", "MAXN"), ("25W", "25W: figures are those of this mode, not of MAXN")],
)
def test_a_power_mode_is_said_and_not_judged(mode, said):
    check = judge_power_mode((sensed("power_mode", mode),))
    assert (check.status, check.value) == ("ok", said)


def test_busy_processes_are_named_with_their_share():
    busy = (Process(7, "make", 0.98), Process(8, "sshd", BUSY_SHARE - 0.01))
    check = judge_busy(BOARD, Reading(busy))
    assert (check.status, check.value) == ("warn", "make (7) 98% of a core")
    assert judge_busy(BOARD, Reading(busy[1:])).status == "ok"


def test_of_many_busy_processes_three_are_named():
    busy = tuple(Process(n, f"p{n}", 0.5) for n in range(5))
    assert judge_busy(BOARD, Reading(busy)).value.endswith("and 2 more")


def test_a_sensor_that_is_not_there_is_unknown_with_the_reason():
    missing = (sensed("x", None, reason="not on this board"),)
    for check in (
        judge_governor(BOARD, missing, None),
        judge_caps(BOARD, missing, ()),
        judge_temperature(missing, 80.0),
        judge_throttled(BOARD, missing, ()),
        judge_supply(missing, (), "rpi5"),
        judge_power_mode(missing),
        judge_busy(BOARD, Reading(None, "not on this board")),
    ):
        assert (check.status, check.value) == ("unknown", "not on this board")


def test_a_board_that_somebody_measures_on_names_them_and_how_to_take_it():
    holder = Holder("eve@lab (process 7)", "bench x", 30, 50, None, "its token")
    check = judge_lease(BOARD, holder, None)
    assert check.status == "warn"
    assert check.value.startswith("held by eve@lab (process 7)")
    assert check.fix == "slmdeploy bench BUNDLE --device pi5-a --steal"
    assert judge_lease(BOARD, None, None).status == "ok"


LEFT = Saved("t0ken", "eve@lab (process 7)", (("governor", "/sys/policy0/x", "ondemand"),))


def home_with(changed: Saved | None) -> Reading[Home]:
    return Reading(Home("/home/lab/.slmdeploy", "/home/lab", writable=True, changed=changed))


def test_settings_that_a_measurement_left_changed_are_named_with_the_way_back():
    check = judge_settings(BOARD, home_with(LEFT), None)
    assert check.status == "warn"
    assert check.value == (
        "left changed by eve@lab (process 7): governor of policy0 (was ondemand)"
    )
    assert check.fix == "slmdeploy devices restore pi5-a"


def test_settings_that_are_changed_while_somebody_measures_are_no_fault():
    holder = Holder("eve@lab (process 7)", "bench x", 30, 50, None, "its token")
    check = judge_settings(BOARD, home_with(LEFT), holder)
    assert (check.status, check.fix) == ("ok", None)
    assert check.value.startswith("for now changed by eve@lab")


def test_settings_are_fine_where_none_is_changed_and_unknown_where_nothing_was_read():
    assert judge_settings(BOARD, home_with(None), None).status == "ok"
    assert judge_settings(BOARD, Reading(None, "no answer"), None).status == "unknown"
