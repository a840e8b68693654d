"""The agent as it is started on a device: by a real shell, here and on emulated boards."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.probes.series import Observed
from slmdeploy.device.probes.watch import watched
from slmdeploy.device.runs.jobs import find_jobs
from slmdeploy.device.runs.lease import leased
from slmdeploy.errors import ConnectError, UnknownNameError
from slmdeploy.transport.base import Result, Transport
from slmdeploy.transport.fake import Command, FakeTransport
from slmdeploy.transport.local import LocalTransport

FINE = ["memory", "load", "process"]


@pytest.fixture
def here(tmp_path: Path) -> LocalTransport:
    return LocalTransport(root=tmp_path / "home")


def quantities(seen: Observed) -> set[str]:
    return {one.quantity for one in seen.series if one.t_ns}


def test_sensors_are_read_while_something_runs(here):
    with watched(here, program=None, names=FINE) as watch:
        assert watch.reason is None
    seen = watch.result()
    assert watch.reason is None
    assert {"memory_available_bytes", "load_others_cores"} <= quantities(seen)
    assert seen.cost is not None


def test_the_process_of_the_program_is_watched(here, tmp_path):
    program = tmp_path / "bin" / "runner"
    program.parent.mkdir()
    program.symlink_to(shutil.which("sleep") or "sleep")
    with (
        watched(here, program=f"{program.parent}/", names=FINE) as watch,
        subprocess.Popen([str(program), "600"]) as process,
    ):
        until_written(here, "VmHWM")
        process.kill()
    peak = [one for one in watch.result().series if one.quantity == "process_peak_rss_bytes"]
    assert {one.pid for one in peak} == {process.pid}
    assert all(isinstance(value, float) for value in peak[0].values[:1])


def test_nothing_stays_behind_but_the_agent_itself(here):
    with watched(here, program=None, names=FINE):
        assert [found.name for found in find_jobs(here)] == ["agent"]
    assert find_jobs(here) == ()
    left = [path for path in Path(here.home()).rglob("*") if path.is_file()]
    assert [path.parent.name for path in left] == ["agent"]


def test_the_agent_is_sent_once(tmp_path):
    device = FakeTransport(tmp_path)
    for _ in range(2):
        with watched(device, program=None, names=FINE):
            sent = device.sent_bytes
    assert device.sent_bytes == sent > 0


def test_an_unknown_probe_is_refused_before_anything_starts(here):
    with pytest.raises(UnknownNameError), watched(here, program=None, names=["heat"]):
        pass


def test_without_python_there_is_a_reason_and_no_value(tmp_path):
    def no_python(command: Command) -> Result | None:
        return Result(0, "python \nabsent\n", "") if "version_info" in str(command) else None

    with watched(FakeTransport(tmp_path, handler=no_python), program=None) as watch:
        pass
    assert watch.reason == "the board has no Python 3.6 or later for the agent"
    assert watch.result().series == ()


def test_an_agent_that_is_killed_leaves_what_it_wrote(here):
    with watched(here, program=None, names=FINE) as watch:
        (found,) = find_jobs(here)
        child = (Path(here.home()) / "runs" / found.job.id / "child").read_text()
        here.check(["kill", "-9", child.strip()])
    assert watch.reason == "the agent was cut off"
    assert "memory_available_bytes" in quantities(watch.result())


def test_an_agent_ends_with_the_lease_that_was_stolen_meanwhile(here):
    with leased(here) as lease, watched(here, program=None, names=FINE, ends=lease.ends) as watch:
        (found,) = find_jobs(here)
        with leased(here, steal=True):
            list(found.job.follow(live=False))
    assert watch.reason == f"the agent ended too early: there is {lease.ends[1]}"
    assert "memory_available_bytes" in quantities(watch.result())


def test_the_agent_ends_when_the_lease_is_let_go_of(here):
    with leased(here) as lease:
        watch = watched(here, program=None, names=FINE, ends=lease.ends)
        opened = watch.__enter__()
        (found,) = find_jobs(here)
    list(found.job.follow(live=False))
    watch.__exit__(None, None, None)
    assert opened.result().end == f"there is {lease.ends[0]}"


def test_a_device_that_is_away_at_the_end_costs_the_values_alone(tmp_path):
    device = FakeTransport(tmp_path)
    try:
        with watched(device, program=None, names=FINE) as watch:
            device.faults.away = True
    finally:
        device.faults.away = False
        left = ended_agents(device)
    assert watch.reason == "what the agent wrote could not be fetched: fake does not answer."
    assert left == 1


def test_a_device_that_is_away_at_the_start_costs_the_values_alone(tmp_path):
    device = FakeTransport(tmp_path)
    device.faults.away = True
    with watched(device, program=None) as watch:
        pass
    assert watch.reason == "the agent did not start: fake does not answer."


def test_an_error_of_the_measurement_goes_through(here):
    with pytest.raises(ConnectError), watched(here, program=None, names=FINE):
        raise ConnectError("gone")
    assert find_jobs(here) == ()


def ended_agents(device: Transport) -> int:
    """End the agents that run on a device, and their keepers; how many there were."""
    running = [one.job for one in find_jobs(device) if one.state.code is None]
    for job in running:
        job.stop()
    assert all(one.state.code is not None for one in find_jobs(device))
    return len(running)


@contextlib.contextmanager
def connected(board) -> Iterator[Transport]:
    with closing(connect(board.device("board"))) as transport:
        yield transport


def values(seen: Observed, quantity: str, of: str) -> list[float | str | None]:
    found = [one.values for one in seen.series if (one.quantity, one.of) == (quantity, of)]
    return [value for one in found for value in one]


def until_written(transport: Transport, text: str) -> None:
    """Wait until the agent has written a line that holds this text."""
    (found,) = [
        one for one in find_jobs(transport) if one.name == "agent" and one.state.code is None
    ]
    script = 'until grep -q "$2" "$1"; do sleep 0.1; done'
    transport.check(["sh", "-c", script, "sh", f"{found.job.folder}/out", text], timeout=60)


@pytest.mark.board
def test_a_raspberry_pi_5_heats_up_while_it_is_watched(rpi5):
    was = dict(rpi5.sensors.values)
    try:
        with connected(rpi5) as transport, watched(transport, program=None) as watch:
            until_written(transport, "throttled=0x0")
            rpi5.set(temperature=84.5, throttled=0x50005, under_voltage=True, khz=1_500_000)
            until_written(transport, "throttled=0x50005")
    finally:
        rpi5.set(**was)
    seen = watch.result()
    assert watch.reason is None
    heat = values(seen, "temperature_c", "cpu-thermal")
    assert (heat[0], heat[-1]) == (48.9, 84.5)
    assert {0.0, 1.0} <= set(values(seen, "throttle_now", "supply under-voltage"))
    assert values(seen, "throttle_since_boot", "throttled")[-1] == 1.0
    assert values(seen, "clock_mhz", "policy0")[-1] == 1500.0
    assert all(isinstance(value, float) for value in values(seen, "power_pmic_w", "sum of rails"))


@pytest.mark.board
def test_an_orin_nanos_input_power_is_a_series(orin_nano):
    was = dict(orin_nano.sensors.values)
    try:
        with connected(orin_nano) as transport, watched(transport, program=None) as watch:
            until_written(transport, '"read"')
            orin_nano.set(rails={**was["rails"], "VDD_IN": (5.0, 3.0)}, cv_temperature=45.0)
            until_written(transport, '"3000')  # mA
    finally:
        orin_nano.set(**was)
    power = values(watch.result(), "power_total_w", "VDD_IN")
    assert power[-1] == pytest.approx(15.0)
    assert power[0] != power[-1]
    assert values(watch.result(), "power_mode", "") == ["25W", "25W"]
    assert None in values(watch.result(), "temperature_c", "cv0-thermal")


@pytest.mark.board
def test_a_board_whose_power_is_cut_keeps_what_the_agent_wrote(own_board):
    board = own_board("rpi5")
    with connected(board) as transport:
        watch_ = watched(transport, program=None, names=["temperature"])
        watch = watch_.__enter__()
        assert watch.reason is None
        board.cut()
        watch_.__exit__(None, None, None)
    assert watch.reason is not None
    assert quantities(watch.result()) == set()
    board.boot()
    with connected(board) as transport:
        (found,) = [one for one in find_jobs(transport) if one.name == "agent"]
        lines = transport.check(["cat", f"{found.job.folder}/out"]).stdout.splitlines()
    assert any("read" in json.loads(line) for line in lines)


def test_the_agent_ends_by_a_signal_as_jobs_send_it(here):
    with watched(here, program=None, names=FINE) as watch:
        (found,) = find_jobs(here)
        child = (Path(here.home()) / "runs" / found.job.id / "child").read_text().strip()
        here.check(["kill", f"-{int(signal.SIGTERM)}", child])
    assert watch.reason == "the agent ended too early: told"
    assert "memory_available_bytes" in quantities(watch.result())
