"""Runs on emulated boards: restarts, no memory, and cables that are pulled."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.runs.detached import DetachedTransport
from slmdeploy.device.runs.jobs import find_jobs, start_job
from slmdeploy.device.runs.lease import leased
from slmdeploy.errors import CommandError, DeviceError
from slmdeploy.runtime.deaths import explain_death

pytestmark = pytest.mark.board


@pytest.fixture
def pi(own_board):
    return own_board("rpi5")


def sh(text, *arguments):
    return ["sh", "-c", text, "sh", *arguments]


def make_gate(board, transport):
    """A named pipe on the board: a run that reads it waits until it is opened."""
    path = f"{board.user_home}/gate-{uuid.uuid4().hex}"
    transport.check(["mkfifo", path])
    return path


@pytest.mark.parametrize("live", [True, False])
def test_lines_come_and_then_the_code(rpi5, live):
    with closing(connect(rpi5.device())) as transport:
        board = DetachedTransport(transport, live=live)
        assert list(board.stream(sh("cat; echo b"), stdin=b"a\n")) == ["a", "b"]
        with pytest.raises(CommandError) as told:
            list(board.stream(sh("exit 3")))
    assert told.value.code == 3


@pytest.mark.parametrize("how", ["reboot", "power_cycle"])
def test_a_restart_in_the_middle_is_told_and_the_board_is_free_again(pi, how):
    with closing(connect(pi.device("pi"))) as transport:
        with leased(transport) as lease:
            lines = DetachedTransport(transport, live=True, lease=lease).stream(
                sh("echo started; exec sleep 600")
            )
            assert next(lines) == "started"
            if how == "power_cycle":
                transport.close()  # a cut says nothing: the link would take half a minute to die
            getattr(pi, how)()
            with pytest.raises(DeviceError, match="pi was restarted while the run runner-"):
                list(lines)
        with leased(transport, owner="eve@b"):
            (run,) = find_jobs(transport)
            assert run.state.name == "restarted"


def test_a_run_that_takes_all_memory_is_told_as_such(pi):
    greedy = ["python3", "-c", "x = b'x' * (1 << 30)"]
    with closing(connect(pi.device())) as transport:
        transport.home()
        pi.limit_memory(400 << 20)
        with pytest.raises(CommandError) as told:
            list(DetachedTransport(transport, live=False).stream(greedy))
        pi.limit_memory(None)
        assert transport.run(["true"]).code == 0
    assert "ran out of memory" in told.value.hint
    assert explain_death(told.value).cause == "sigkill"


def test_a_cable_that_is_pulled_and_plugged_in_loses_no_line(pi):
    with closing(connect(pi.device())) as transport:
        gate = make_gate(pi, transport)
        script = 'echo a1; echo a2; cat "$1"; echo b1; echo b2'
        lines = DetachedTransport(transport, live=True).stream(sh(script, gate))
        seen = [next(lines)]
        pi.unplug()
        pi.root(["sh", "-c", 'echo go >"$1"', "sh", gate])
        pi.plug()
        assert [*seen, *lines] == ["a1", "a2", "go", "b1", "b2"]


@pytest.mark.slow
def test_a_cable_that_is_out_until_the_link_is_given_up_loses_no_line(pi):
    with closing(connect(pi.device())) as transport:
        gate = make_gate(pi, transport)
        script = 'echo a1; echo a2; cat "$1"; echo b1; echo b2'
        lines = DetachedTransport(transport, live=True).stream(sh(script, gate))
        seen = [next(lines), next(lines)]
        session = transport.connect()
        pi.unplug()
        pi.root(["sh", "-c", 'echo go >"$1"', "sh", gate])
        session.join(90)  # it ends when nobody has answered for half a minute
        assert not session.is_active()
        pi.plug()
        assert [*seen, *lines] == ["a1", "a2", "go", "b1", "b2"]


def test_a_server_that_ends_and_comes_back_loses_no_line(pi):
    with closing(connect(pi.device())) as transport:
        gate = make_gate(pi, transport)
        script = 'echo a1; echo a2; cat "$1"; echo b1; echo b2'
        lines = DetachedTransport(transport, live=True).stream(sh(script, gate))
        seen = [next(lines)]
        pi.stop_sshd()
        pi.root(["sh", "-c", 'echo go >"$1"', "sh", gate])
        pi.start_sshd()
        assert [*seen, *lines] == ["a1", "a2", "go", "b1", "b2"]


def test_a_clock_that_is_wrong_by_a_year_changes_nothing(pi):
    pi.set_clock(-365 * 86400)
    with closing(connect(pi.device())) as transport, leased(transport) as lease:
        job = start_job(transport, ["sleep", "600"], name="runner")
        pi.set_clock(365 * 86400)
        lease.renew()
        assert job.state().name == "running"
        assert job.state().age_s < 60
        with pytest.raises(DeviceError, match="in use"):
            leased(transport, owner="eve@b").__enter__()
        job.stop()


def test_a_home_that_cannot_be_written_is_told(pi):
    pi.make_home_read_only()
    with (
        closing(connect(pi.device())) as transport,
        pytest.raises(DeviceError, match="Read-only"),
        leased(transport),
    ):
        pass
    pi.make_home_writable()
    with closing(connect(pi.device())) as transport, leased(transport):
        pass
