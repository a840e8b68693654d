"""Runs that live on the board: over a real sshd, on this computer, and with busybox alone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.runs import job_scripts
from slmdeploy.device.runs.jobs import Job, find_jobs, start_job
from slmdeploy.errors import CommandError, ConnectError, DeviceError
from slmdeploy.transport.fake import FakeTransport
from slmdeploy.transport.local import LocalTransport
from tests.device.boards_here import hide_setsid, use_busybox

SECONDS = 20.0


@pytest.fixture(params=["local", "busybox", "no setsid", "ssh"])
def board(request, tmp_path, monkeypatch):
    if request.param == "ssh":
        with closing(connect(request.getfixturevalue("sshd_board"))) as transport:
            yield transport
        return
    if request.param == "busybox":
        use_busybox(tmp_path / "bin", monkeypatch)
    elif request.param == "no setsid":
        hide_setsid(tmp_path / "bin", monkeypatch)
    yield LocalTransport("pi5-a", root=tmp_path / "home folder" / ".slmdeploy")


@pytest.fixture
def here(tmp_path):
    return LocalTransport("pi5-a", root=tmp_path / "home folder" / ".slmdeploy")


@pytest.fixture
def gate(board):
    """A named pipe on the board: a run that reads it waits until it is opened."""
    return make_gate(board)


def make_gate(board):
    path = f"{board.home()}/gate-{uuid.uuid4().hex}"
    board.check(["mkdir", "-p", board.home()])
    board.check(["mkfifo", path])
    return path


def open_gate(board, path):
    board.check(sh('echo go >"$1"', path), timeout=SECONDS)


def sh(text, *arguments):
    return ["sh", "-c", text, "sh", *arguments]


def followed(job, **how):
    """The lines of a run, and how it ended."""
    lines, source = [], job.follow(**how)
    while True:
        try:
            lines.append(next(source))
        except StopIteration as stop:
            return lines, stop.value


def wait_until(true):
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        os.sched_yield()


def gone(board, pid):
    """Whether a process has ended; one that nobody has waited for has."""
    said = board.run(["cat", f"/proc/{pid}/stat"]).stdout.rpartition(") ")[2]
    return not said or said.startswith("Z")


def watched_for(board, seconds):
    """Whether a process of the board waits for the end of a run's time."""
    return f"sleep\0{seconds}\0" in board.run(sh("cat /proc/[0-9]*/cmdline")).stdout


@pytest.mark.parametrize("live", [True, False])
def test_lines_come_and_then_how_it_ended(board, live):
    job = start_job(board, sh("echo one; echo 'a  b'; printf half; echo oh >&2; exit 3"), name="t")
    lines, end = followed(job, live=live)
    assert lines == ["one", "a  b", "half"]
    assert (end.state.name, end.code, end.stderr) == ("ended", 3, "oh\n")


def test_a_run_has_its_input_its_variables_and_its_words(board):
    job = start_job(
        board,
        sh('cat; echo "$X"; echo "$1"', "it's $HOME; *"),
        stdin=b"a\nb\n",
        env={"X": "1 2"},
        name="t",
    )
    assert followed(job)[0] == ["a", "b", "1 2", "it's $HOME; *"]


def test_a_run_has_a_folder_to_run_in(board):
    job = start_job(board, ["pwd"], cwd="/usr", name="t")
    assert followed(job)[0] == ["/usr"]


def test_a_folder_that_is_not_there_is_told(board):
    _, end = followed(start_job(board, ["pwd"], cwd="/no/such", name="t"))
    assert end.code == 126
    assert "/no/such" in end.stderr


def test_a_program_that_is_not_there_is_told(board):
    _, end = followed(start_job(board, ["/no/such/program"], name="t"))
    assert end.code == 127


def test_a_line_comes_while_the_run_goes_on(board, gate):
    job = start_job(board, sh('echo first; cat "$1"; echo last', gate), name="t")
    source = job.follow()
    assert next(source) == "first"
    assert job.state().name == "running"
    open_gate(board, gate)
    assert list(source) == ["go", "last"]
    assert job.state().name == "ended"


def test_the_board_itself_ends_a_run_and_all_its_group_in_time(board):
    script = 'trap "" TERM; sleep 600 & echo "$!"; echo "$$"; wait'
    lines, end = followed(start_job(board, sh(script), timeout_s=0.2, name="t"))
    assert end.state.reason == "timeout"
    assert end.code == 128 + signal.SIGKILL
    assert all(gone(board, pid) for pid in lines)


def test_a_run_that_ends_in_time_leaves_no_watch_behind(board):
    followed(start_job(board, ["true"], timeout_s=12345, name="t"))
    wait_until(lambda: not watched_for(board, 12345))


def test_a_run_that_is_stopped_leaves_no_watch_behind(board):
    """It would end whatever has the run's number by then."""
    job = start_job(board, ["sleep", "600"], timeout_s=12346, name="t")
    wait_until(lambda: watched_for(board, 12346))
    job.stop()
    wait_until(lambda: not watched_for(board, 12346))


def test_stopping_ends_all_of_the_group(board):
    job = start_job(board, sh('sleep 600 & echo "$!"; wait'), name="t")
    source = job.follow()
    child = next(source)
    job.stop()
    assert (job.state().name, job.state().reason) == ("ended", "stopped")
    assert gone(board, child)
    job.stop()


def test_a_run_that_goes_on_is_not_removed(board):
    job = start_job(board, ["sleep", "600"], name="t")
    with pytest.raises(CommandError, match="still runs"):
        job.remove()
    job.stop()
    job.remove()
    assert job.state().name == "absent"


def test_runs_are_found_by_any_host(board):
    job = start_job(board, sh("sleep 600", "it's"), name="agent")
    found = {one.job.id: one for one in find_jobs(board)}[job.id]
    assert (found.name, found.state.name) == ("agent", "running")
    assert found.command == "sh -c sleep 600 sh it's"
    assert f"process {os.getpid()}" in found.owner
    found.job.stop()


def test_no_runs_are_found_on_a_fresh_board(here):
    assert find_jobs(here) == ()


def test_a_keeper_that_is_killed_is_told_with_what_was_said_last(here):
    job = start_job(here, sh("echo a; echo oh >&2; exec sleep 600"), name="t")
    source = job.follow()
    assert next(source) == "a"
    child = int(Path(job.folder, "child").read_text())
    os.kill(int(Path(job.folder, "pid").read_text().split()[0]), signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    with pytest.raises(DeviceError, match=r"was killed and left no exit code; it said last: oh"):
        list(source)


def test_a_restart_of_the_board_in_the_middle_is_told(here):
    job = start_job(here, sh("echo a; exec sleep 600"), name="t")
    note = Path(job.folder, "pid")
    wait_until(lambda: Path(job.folder, "out").read_text() == "a\n")
    pid, born, boot, up = note.read_text().split()
    note.write_text(f"{pid} {born} {boot[::-1]} {up}\n")
    with pytest.raises(DeviceError, match="pi5-a was restarted while"):
        list(job.follow())
    note.write_text(f"{pid} {born} {boot} {up}\n")
    job.stop()


def test_a_number_that_was_given_out_anew_is_not_taken_for_the_run(here):
    job = start_job(here, ["sleep", "600"], name="t")
    note = Path(job.folder, "pid")
    pid, born, boot, up = note.read_text().split()
    note.write_text(f"{pid} {int(born) - 1} {boot} {up}\n")
    assert job.state().name == "lost"
    note.write_text(f"{pid} {born} {boot} {up}\n")
    job.stop()


def test_a_run_that_was_removed_is_told(here):
    with pytest.raises(DeviceError, match="is not on pi5-a any more"):
        list(Job(here, "t-0").follow())


def test_old_runs_that_are_over_make_room(here, monkeypatch):
    monkeypatch.setattr("slmdeploy.device.runs.jobs.KEPT_RUNS", 2)
    running = start_job(here, ["sleep", "600"], name="long")
    for _ in range(4):
        job = start_job(here, ["true"], name="t")
        list(job.follow())
    left = {one.job.id for one in find_jobs(here)}
    assert {running.id, job.id} <= left
    assert len(left) <= 4
    running.stop()


def test_a_run_that_starts_after_the_clock_was_set_back_stays(here, monkeypatch):
    """Boards without a battery: the newest folder may look like the oldest."""
    monkeypatch.setattr("slmdeploy.device.runs.jobs.KEPT_RUNS", 1)
    slow = f"sleep 0.2\n{job_scripts.WRAPPER}"
    for _ in range(2):
        job = start_job(here, ["true"], name="t")
        list(job.follow())
        os.utime(job.folder, (2**32, 2**32))
    monkeypatch.setattr(job_scripts, "WRAPPER", slow)
    assert list(start_job(here, ["echo", "here"], name="t").follow()) == ["here"]


def test_starting_again_after_a_lost_answer_starts_nothing_twice(tmp_path):
    board = FakeTransport(tmp_path)
    board.home()
    board.faults.cut_output_after_bytes = 0
    job = start_job(board, sh('echo x >>"$1"; echo done', str(tmp_path / "runs")), name="t")
    assert list(job.follow()) == ["done"]
    assert (tmp_path / "runs").read_text() == "x\n"
    assert sum(job.id in command.argv for command in board.commands) == 2


def test_a_run_whose_connection_is_lost_while_it_starts_goes_on(here, monkeypatch):
    """Nobody is there to hear that it has started."""

    def unheard(argv, **how):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as out:
            subprocess.run(argv, input=how["stdin"], stdout=out, stderr=out, check=False)

    with monkeypatch.context() as patched:
        patched.setattr(here, "check", unheard)
        job = start_job(here, sh("sleep 0.2; echo done; exit 3"), name="t")
    wait_until(lambda: job.state().name != "absent")
    lines, end = followed(job)
    assert (lines, end.code) == (["done"], 3)


def test_starting_again_after_a_lost_question_starts_it_once(tmp_path):
    asked = []

    def lost_once(command):
        asked.append(command)
        if len(asked) == 1:
            raise ConnectError("The connection was lost.")

    job = start_job(FakeTransport(tmp_path, lost_once), ["echo", "done"], name="t")
    assert list(job.follow()) == ["done"]


def test_a_board_that_stays_away_is_given_up_and_the_run_is_named(here, tmp_path):
    board = FakeTransport(tmp_path)
    job = start_job(board, ["true"], name="t")
    board.faults.away = True
    with pytest.raises(ConnectError) as told:
        list(Job(board, job.id).follow(away_s=0))
    assert "home" not in (told.value.hint or "")


def test_a_run_goes_on_without_its_connection_and_is_picked_up(own_sshd):
    with closing(connect(own_sshd.device())) as transport:
        gate = make_gate(transport)
        script = (
            'for i in 1 2 3; do echo "a$i"; done; cat "$1"; for i in 1 2 3; do echo "b$i"; done'
        )
        job = start_job(transport, sh(script, gate), name="t")
        source = job.follow()
        seen = [next(source), next(source)]
        own_sshd.kill()
        own_sshd.start()
        with closing(connect(own_sshd.device())) as other:
            assert Job(other, job.id).state().name == "running"
            open_gate(other, gate)
        assert [*seen, *source] == ["a1", "a2", "a3", "go", "b1", "b2", "b3"]
