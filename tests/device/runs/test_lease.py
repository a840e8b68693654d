"""One measurement at a time: a lease that the board itself holds."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.runs.detached import RUNNER
from slmdeploy.device.runs.jobs import start_job
from slmdeploy.device.runs.lease import leased, read_holder
from slmdeploy.device.runs.owner import owner_name
from slmdeploy.errors import DeviceError
from slmdeploy.transport.local import LocalTransport


@pytest.fixture
def board(tmp_path):
    return LocalTransport("pi5-a", root=tmp_path / "home folder" / ".slmdeploy")


def test_a_board_that_nobody_holds_is_free(board):
    assert read_holder(board) is None


def test_a_lease_is_held_and_let_go_of(board):
    with leased(board, owner="lab@a (process 1)", command="slmdeploy bench 'x'"):
        holder = read_holder(board)
        assert (holder.owner, holder.command) == ("lab@a (process 1)", "slmdeploy bench 'x'")
    assert read_holder(board) is None


def test_the_second_is_told_who_holds_it_and_how_to_take_it(board):
    with (
        leased(board, owner="lab@a (process 1)", command="slmdeploy bench x"),
        pytest.raises(DeviceError, match=r"pi5-a is in use: lab@a \(process 1\).*bench x") as told,
        leased(board, owner="eve@b (process 2)"),
    ):
        pass
    assert "--steal" in told.value.hint


def test_stealing_says_whom_it_was_taken_from_and_the_robbed_one_learns_of_it(board):
    with (
        leased(board, owner="lab@a (process 1)") as robbed,
        leased(board, owner="eve@b (process 2)", steal=True) as lease,
    ):
        assert lease.taken_from.owner == "lab@a (process 1)"
        lease.renew()
        with pytest.raises(DeviceError, match=r"taken from us by eve@b"):
            robbed.renew()


@pytest.fixture
def ended():
    """The owner's name of a process of this user and computer that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return re.sub(r"process \d+", f"process {process.pid}", owner_name())


def test_a_process_of_ours_that_has_ended_holds_nothing_any_more(board, ended):
    with leased(board, owner=ended) as left, leased(board) as lease:
        assert lease.taken_from.owner == ended
        lease.renew()
        with pytest.raises(DeviceError, match="taken from us"):
            left.renew()


def test_what_a_process_of_ours_left_running_is_ended_with_it(board, ended, monkeypatch):
    monkeypatch.setattr("slmdeploy.device.runs.jobs.owner_name", lambda: ended)
    job = start_job(board, ["sleep", "600"], name=RUNNER)
    with leased(board, owner=ended), leased(board):
        assert job.state().reason == "stopped"


def test_a_computer_of_the_same_name_is_not_taken_for_ours(board, ended, monkeypatch):
    """As two containers are: process numbers of one mean nothing in the other."""
    with ExitStack() as stack:
        stack.enter_context(leased(board, owner=ended))
        monkeypatch.setattr("slmdeploy.device.runs.lease.host_mark", lambda: "another")
        with pytest.raises(DeviceError, match="in use"):
            stack.enter_context(leased(board))


def test_a_process_of_ours_that_lives_is_asked_first(board):
    with leased(board), pytest.raises(DeviceError, match="in use"), leased(board):
        pass


def test_letting_go_of_a_stolen_lease_leaves_the_new_one_alone(board):
    with ExitStack() as stack:
        robbed = stack.enter_context(leased(board, owner="lab@a (process 1)"))
        stack.enter_context(leased(board, owner="eve@b (process 2)", steal=True))
        robbed.release()
        assert read_holder(board).owner == "eve@b (process 2)"


def wait_until(true):
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline


def test_a_lease_ends_by_itself(board):
    with leased(board, owner="lab@a", ttl_s=1) as lease, lease.quiet():
        wait_until(lambda: read_holder(board) is None)
        with leased(board, owner="eve@b"):
            assert read_holder(board).owner == "eve@b"


def test_signs_of_life_keep_a_lease(board):
    with leased(board, owner="lab@a", ttl_s=2):
        wait_until(lambda: read_holder(board).age_s > 2)
        assert read_holder(board).left_s > 0


def test_a_run_of_the_owner_holds_a_lease_whose_host_is_gone(board):
    with ExitStack() as stack:
        stack.enter_context(stack.enter_context(leased(board, ttl_s=1)).quiet())
        job = start_job(board, ["sleep", "600"], name=RUNNER)
        stack.callback(job.stop)
        wait_until(lambda: read_holder(board).left_s <= 0)
        with pytest.raises(DeviceError, match=f"when its run {job.id} ends"):
            stack.enter_context(leased(board, owner="eve@b"))
        job.stop()
        stack.enter_context(leased(board, owner="eve@b"))


def test_any_other_run_does_not_hold_it(board):
    with ExitStack() as stack:
        stack.enter_context(stack.enter_context(leased(board, ttl_s=1)).quiet())
        job = start_job(board, ["sleep", "600"], name="agent")
        stack.callback(job.stop)
        wait_until(lambda: read_holder(board) is None)


def test_a_lease_of_before_a_restart_is_over(board, tmp_path):
    with leased(board, owner="lab@a") as lease:
        note = tmp_path / "home folder" / ".slmdeploy" / "lease" / str(lease.number)
        boot, rest = note.read_text().split(" ", 1)
        note.write_text(f"{'0' * len(boot)} {rest}")
        assert read_holder(board) is None
        with pytest.raises(DeviceError, match="restarted"):
            lease.renew()


def test_of_many_that_ask_at_once_exactly_one_gets_it(sshd_board):
    gate, hold = threading.Barrier(6), threading.Event()
    got, refused = [], []

    def ask(number):
        with closing(connect(sshd_board)) as transport:
            transport.home()
            gate.wait(60)
            try:
                with leased(transport, owner=f"user{number}@host"):
                    got.append(number)
                    hold.wait(60)
            except DeviceError:
                refused.append(number)
            if len(refused) == 5:
                hold.set()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert (len(got), len(refused)) == (1, 5)


def test_of_many_that_steal_one_after_another_the_last_has_it(board):
    with ExitStack() as stack:
        for number in range(12):
            last = stack.enter_context(leased(board, owner=f"user{number}@host", steal=True))
        assert read_holder(board).owner == "user11@host"
        last.renew()
