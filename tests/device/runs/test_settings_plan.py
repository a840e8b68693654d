"""What would be changed on a board, from what it says it has."""

from __future__ import annotations

import pytest

from slmdeploy.device.runs.settings_plan import Saved, Wanted, parse_survey, plan_changes
from slmdeploy.errors import DeviceError

POLICY = "/sys/devices/system/cpu/cpufreq/policy{}/scaling_governor"
JETSON = "".join(
    [
        "user lab\n",
        f"governor {POLICY.format(0)}\tschedutil\tperformance schedutil\n",
        f"governor {POLICY.format(4)}\tperformance\tperformance schedutil\n",
        "mode 0\n",
        "modes 0 15W\nmodes 1 25W\nmodes 2 MAXN_SUPER\n",
        "clocks yes\n",
    ]
)
BARE = "user lab\n"


def plan(text, **wanted):
    return plan_changes("nano", parse_survey(text), Wanted(**wanted), "/f/clocks.conf")


def test_only_policies_that_are_not_so_already_are_changed():
    (change,) = plan(JETSON, governor="performance")
    assert (change.key, change.old, change.new) == (POLICY.format(0), "schedutil", "performance")
    assert str(change) == "governor of policy0: schedutil -> performance"


@pytest.mark.parametrize("name", ["25W", "25w", "1"])
def test_a_power_mode_goes_by_its_name_or_its_id(name):
    (change,) = plan(JETSON, power_mode=name)
    assert (change.old, change.new, str(change)) == ("0", "1", "power mode: 15W -> 25W")


def test_the_mode_that_is_set_already_is_left_alone():
    assert plan(JETSON, power_mode="15W") == ()


def test_the_mode_comes_first_and_the_governor_last():
    changes = plan(JETSON, governor="performance", clocks="max", power_mode="2")
    assert [change.kind for change in changes] == ["mode", "clocks", "governor"]


@pytest.mark.parametrize(
    ("text", "wanted", "message"),
    [
        (JETSON, {"governor": "turbo"}, "has no governor 'turbo'"),
        (JETSON, {"power_mode": "10W"}, "has no power mode '10W'"),
        (BARE, {"governor": "performance"}, "no cpufreq governors"),
        (BARE, {"power_mode": "25W"}, "not a Jetson"),
        (BARE, {"clocks": "max"}, "no jetson_clocks"),
    ],
)
def test_what_a_board_does_not_have_is_refused(text, wanted, message):
    with pytest.raises(DeviceError, match=message):
        plan(text, **wanted)


def test_an_unknown_value_is_told_with_those_that_exist():
    with pytest.raises(DeviceError) as told:
        plan(JETSON, power_mode="10W")
    assert told.value.hint == "It has: 15W (0), 25W (1), MAXN_SUPER (2)."


def test_what_is_changed_already_is_read():
    saved = "saved t0ken lab@a (process 1)\nsaved governor\t/f\tondemand\nsaved mode\t-\t1\n"
    assert parse_survey(BARE + saved).saved == Saved(
        "t0ken", "lab@a (process 1)", (("governor", "/f", "ondemand"), ("mode", "-", "1"))
    )
    assert parse_survey(BARE).saved is None


def test_nothing_wanted_is_nothing():
    assert not Wanted()
    assert Wanted(clocks="max")
    assert plan(BARE) == ()
