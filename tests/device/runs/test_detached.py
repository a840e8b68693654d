"""A transport whose long commands live on the board."""

from __future__ import annotations

from contextlib import ExitStack, closing

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.runs.detached import DetachedTransport
from slmdeploy.device.runs.jobs import find_jobs
from slmdeploy.device.runs.lease import leased
from slmdeploy.errors import CommandError, DeviceError
from slmdeploy.transport.fake import FakeTransport
from slmdeploy.transport.local import LocalTransport


@pytest.fixture(params=["local", "ssh"])
def below(request, tmp_path):
    if request.param == "local":
        yield LocalTransport("pi5-a", root=tmp_path / ".slmdeploy")
        return
    with closing(connect(request.getfixturevalue("own_sshd").device())) as transport:
        yield transport


@pytest.fixture(params=[True, False], ids=["live", "at its end"])
def board(below, request):
    return DetachedTransport(below, live=request.param)


def sh(text, *arguments):
    return ["sh", "-c", text, "sh", *arguments]


def test_lines_come_and_their_traces_stay(board):
    assert list(board.stream(sh("cat; echo b"), stdin=b"a\n")) == ["a", "b"]
    assert [job.state.code for job in find_jobs(board)] == [0]


def test_a_failure_is_told_as_any_transport_tells_it(board):
    lines = board.stream(sh("echo a; echo oh >&2; exit 3"))
    assert next(lines) == "a"
    with pytest.raises(CommandError, match="oh") as told:
        next(lines)
    assert told.value.code == 3


def test_closing_the_lines_early_ends_the_run(below):
    lines = DetachedTransport(below, live=True).stream(sh("echo a; sleep 600"))
    assert next(lines) == "a"
    lines.close()
    (job,) = find_jobs(below)
    assert (job.state.name, job.state.reason) == ("ended", "stopped")


def test_a_run_that_takes_too_long_is_told(board):
    with pytest.raises(CommandError, match=r"had not ended after 0.2 s"):
        list(board.stream(["sleep", "600"], timeout=0.2))


def test_what_is_short_is_not_detached(board):
    assert board.run(["echo", "a"]).stdout == "a\n"
    assert board.check(["echo", "a"]).stdout == "a\n"
    assert find_jobs(board) == ()


def test_files_pass_through(board, tmp_path):
    (tmp_path / "a").write_text("x")
    board.put(tmp_path / "a", f"{board.home()}/b")
    board.get(f"{board.home()}/b", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "x"


def test_nothing_is_started_on_a_board_that_was_taken_from_us(below, monkeypatch):
    monkeypatch.setattr("slmdeploy.device.runs.lease.FRESH_SECONDS", 0)
    with ExitStack() as stack:
        lease = stack.enter_context(leased(below, owner="lab@a"))
        stack.enter_context(leased(below, owner="eve@b", steal=True))
        with pytest.raises(DeviceError, match="taken from us by eve@b"):
            list(DetachedTransport(below, live=False, lease=lease).stream(["echo", "a"]))
    assert find_jobs(below) == ()


def test_a_connection_lost_in_the_middle_goes_unnoticed(tmp_path):
    below = FakeTransport(tmp_path)
    lines = DetachedTransport(below, live=True).stream(["seq", "200"])
    seen = [next(lines)]
    below.faults.cut_output_after_bytes = 7
    assert [*seen, *lines] == [str(number) for number in range(1, 201)]
