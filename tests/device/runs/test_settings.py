"""Settings of emulated boards: changed for a measurement, and always put back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.runs.jobs import find_jobs
from slmdeploy.device.runs.lease import leased, read_holder
from slmdeploy.device.runs.occupancy import put_settings_back
from slmdeploy.device.runs.settings import changed_settings, plan_settings, read_saved
from slmdeploy.device.runs.settings_plan import Wanted
from slmdeploy.errors import ConnectError, DeviceError

pytestmark = pytest.mark.board

CPU = "/sys/devices/system/cpu/cpufreq/policy0"
FAST = Wanted(governor="performance")
SECONDS = 60.0

HOST = """
import sys
from contextlib import closing
from slmdeploy.device.connect import connect
from slmdeploy.device.runs.detached import DetachedTransport
from slmdeploy.device.runs.lease import leased
from slmdeploy.device.runs.settings import changed_settings
from slmdeploy.device.runs.settings_plan import Wanted
from slmdeploy.device.types import Device

host, key, pinned, gate = sys.argv[1:]
device = Device("pi", host=host, user="device", identity_file=key, host_key=pinned)
with closing(connect(device)) as transport, leased(transport, ttl_s=4) as lease:
    with changed_settings(lease, Wanted(governor="performance"), print):
        board = DetachedTransport(transport, live=True, lease=lease)
        for line in board.stream(["sh", "-c", 'echo running; cat "$1"', "sh", gate]):
            print(line, flush=True)
"""


@pytest.fixture
def pi(own_board):
    return own_board("rpi5")


@pytest.fixture
def nano(own_board):
    return own_board("orin-nano")


def governor(board):
    return board.root(["cat", f"{CPU}/scaling_governor"]).strip()


def wait_until(true):
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline


def test_a_governor_is_shown_set_and_put_back(pi):
    told = []
    with closing(connect(pi.device("pi"))) as transport:
        with leased(transport) as lease, changed_settings(lease, FAST, told.append):
            assert governor(pi) == "performance"
        assert read_saved(transport) is None
    assert told == ["pi: governor of policy0: ondemand -> performance"]
    assert governor(pi) == "ondemand"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_it_is_put_back_whatever_ends_the_measurement(pi, error):
    with (
        closing(connect(pi.device())) as transport,
        pytest.raises(error),
        leased(transport) as lease,
        changed_settings(lease, FAST, print),
    ):
        raise error
    assert governor(pi) == "ondemand"


def test_a_dry_run_changes_nothing(pi):
    with closing(connect(pi.device())) as transport:
        (change,) = plan_settings(transport, FAST)
    assert change.new == "performance"
    assert governor(pi) == "ondemand"


def test_without_sudo_it_is_refused_before_anything_is_changed(own_board):
    board = own_board("rpi5", sudo=False)
    with (
        closing(connect(board.device("pi"))) as transport,
        leased(transport) as lease,
        pytest.raises(DeviceError, match="device may not change settings of pi") as told,
        changed_settings(lease, FAST, print),
    ):
        pass
    assert f"device ALL=(root) NOPASSWD: /usr/bin/tee {CPU}/scaling_governor" in told.value.hint
    assert governor(board) == "ondemand"


def test_mode_and_clocks_of_a_jetson_are_put_back_as_well(nano):
    def state():
        script = f"nvpmodel -q; cat {CPU}/scaling_min_freq {CPU}/scaling_governor"
        return nano.root(["sh", "-c", script]).split()[-3:]

    before = state()
    wanted = Wanted(governor="performance", power_mode="MAXN_SUPER", clocks="max")
    with closing(connect(nano.device())) as transport:
        with leased(transport) as lease, changed_settings(lease, wanted, print):
            mode, least, now = state()
            assert (mode, now) == ("2", "performance")
            assert int(least) > int(before[1])
        assert state() == before


def test_a_setting_that_fails_undoes_those_before_it(nano):
    tool = b'#!/bin/sh\n[ "$1" = --show ]\n'
    nano.root(["sh", "-c", 'cat >"$(command -v jetson_clocks)"'], stdin=tool)
    before = nano.root(["nvpmodel", "-q"])
    with closing(connect(nano.device("nano"))) as transport:
        with (
            leased(transport) as lease,
            pytest.raises(DeviceError, match="clocks of nano could not be set"),
            changed_settings(lease, Wanted(power_mode="2", clocks="max"), print),
        ):
            pass
        assert nano.root(["nvpmodel", "-q"]) == before
        assert read_saved(transport) is None


def test_a_board_puts_it_back_when_its_host_was_killed(pi, monkeypatch):
    monkeypatch.setattr("slmdeploy.device.runs.lease.host_mark", lambda: "another computer")
    gate = f"{pi.user_home}/gate"
    device = pi.device("pi")
    argv = [sys.executable, "-c", HOST, device.host, str(device.identity_file), device.host_key]
    with closing(connect(device)) as transport:
        transport.check(["mkfifo", gate])
        with subprocess.Popen([*argv, gate], stdout=subprocess.PIPE, text=True) as host:
            assert host.stdout.readline().endswith("ondemand -> performance\n")
            assert host.stdout.readline() == "running\n"
            os.kill(host.pid, signal.SIGKILL)
        # The run goes on, so the board is still taken and still set.
        wait_until(lambda: read_holder(transport).left_s <= 0)
        with pytest.raises(DeviceError, match=r"in use: .*when its run runner-"):
            leased(transport, owner="eve@b").__enter__()
        assert governor(pi) == "performance"
        transport.check(["sh", "-c", 'echo go >"$1"', "sh", gate], timeout=SECONDS)
        wait_until(lambda: governor(pi) == "ondemand")
        wait_until(lambda: read_saved(transport) is None)
        (run,) = [one for one in find_jobs(transport) if one.name == "runner"]
        assert (run.state.name, run.state.code) == ("ended", 0)


def test_after_a_restart_the_next_measurement_puts_it_back(nano, monkeypatch):
    monkeypatch.setattr("slmdeploy.device.runs.settings.RETRY_SECONDS", 0)
    device = nano.device("nano")

    def measure_and_lose_it(transport):
        wanted = Wanted(power_mode="2")
        with leased(transport) as lease, changed_settings(lease, wanted, print):
            nano.power_cycle()
            nano.stop_sshd()
            raise ConnectError("away")

    with closing(connect(device)) as transport:
        with pytest.raises(ConnectError, match="away"):
            measure_and_lose_it(transport)
        nano.start_sshd()
        assert read_saved(transport) is not None
        told = []
        with leased(transport) as lease, changed_settings(lease, Wanted(), told.append):
            pass
        assert read_saved(transport) is None
    assert told[0].startswith("put back what ")
    assert nano.root(["nvpmodel", "-q"]).split()[-1] == "1"


def test_what_was_left_changed_is_put_back_on_request(pi):
    device = pi.device("pi")
    saved = f"t0ken lab@a (process 1)\ngovernor\t{CPU}/scaling_governor\tondemand\n"
    with closing(connect(device)) as transport:
        script = 'mkdir -p "$1/settings" && cat >"$1/settings/saved"'
        transport.check(["sh", "-c", script, "sh", transport.home()], stdin=saved.encode())
    pi.root(["sh", "-c", f"echo performance >{CPU}/scaling_governor"])
    assert put_settings_back(device) == ("governor of policy0: ondemand",)
    assert governor(pi) == "ondemand"
    assert put_settings_back(device) == ()
