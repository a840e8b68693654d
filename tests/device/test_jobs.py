"""Runs that live on the board, over a real sshd and on this computer."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.jobs import start_job
from slmdeploy.transport.local import LocalTransport


@pytest.fixture(params=["local", "ssh"])
def board(request, tmp_path):
    if request.param == "local":
        yield LocalTransport(root=tmp_path / "home folder" / ".slmdeploy")
        return
    with closing(connect(request.getfixturevalue("sshd_board"))) as transport:
        yield transport


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


@pytest.fixture
def gate(board):
    """A named pipe on the board: a run that reads it waits until it is opened."""
    path = f"{board.home()}/gate-{uuid.uuid4().hex}"
    board.check(["mkdir", "-p", board.home()])
    board.check(["mkfifo", path])
    return path


def open_gate(board, path):
    board.check(sh('echo go >"$1"', path), timeout=20)


def test_a_line_comes_while_the_run_goes_on(board, gate):
    job = start_job(board, sh('echo first; cat "$1"; echo last', gate), name="t")
    source = job.follow()
    assert next(source) == "first"
    assert job.state().name == "running"
    open_gate(board, gate)
    assert list(source) == ["go", "last"]
    assert job.state().name == "ended"
