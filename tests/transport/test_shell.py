"""A shell on a device at a real terminal, by the real command line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from slmdeploy.device.lab.devices_toml import to_toml
from slmdeploy.device.types import Device
from slmdeploy.transport.terminal import raw_terminal, window_size
from tests.boards.sshd import SshdBoard
from tests.transport.at_terminal import AtTerminal, at_terminal


@pytest.fixture
def lab(tmp_path: Path, sshd_board: Device) -> Path:
    """A project whose inventory has one board."""
    (tmp_path / "devices.toml").write_text(to_toml([sshd_board]))
    return tmp_path


@pytest.fixture(params=["board-a", "local"])
def shell(request: pytest.FixtureRequest, lab: Path) -> Iterator[AtTerminal]:
    """An open shell on a board, and one on this computer."""
    with at_terminal(lab, "devices", "shell", request.param, SHELL="/bin/sh", PS1="$ ") as it:
        it.expect(r"[$#] ")
        yield it


def test_what_is_typed_runs_there_and_the_exit_code_comes_back(shell: AtTerminal):
    shell.type("tty && echo $((40 + 2))\r")
    shell.expect(r"/dev/pts/\d+\s+42\s")
    shell.type("exit 7\r")
    assert shell.code() == 7
    assert shell.settings() == shell.before


def test_ctrl_c_is_for_what_runs_in_the_shell(shell: AtTerminal):
    shell.type("sh -c 'echo be\"\"gun; exec sleep 300'\r")
    shell.expect("begun")
    shell.type("\x03")
    shell.type("\recho st''ill here\r")
    shell.expect("still here")
    shell.type("exit 0\r")
    assert shell.code() == 0


def test_the_end_of_the_input_ends_the_shell(shell: AtTerminal):
    shell.type("\x04")
    assert shell.code() == 0
    assert shell.settings() == shell.before


@pytest.mark.parametrize("name", ["board-a", "local"])
def test_a_new_size_of_the_window_is_passed_on(lab: Path, name: str):
    script = 'stty size; trap "stty size; exit 5" WINCH; echo re""ady; sleep 300 & wait'
    with at_terminal(lab, "devices", "shell", name, "--", "sh", "-c", script) as it:
        it.expect(r"24 80\s+ready")
        it.resize(132, 50)
        it.expect("50 132")
        assert it.code() == 5
        assert it.settings() == it.before


@pytest.mark.parametrize("name", ["board-a", "local"])
def test_a_command_has_a_terminal_and_its_signal_is_told(lab: Path, name: str):
    with at_terminal(lab, "devices", "shell", name, "--", "sh", "-c", "tty; kill -9 $$") as it:
        it.expect("/dev/pts/")
        assert it.code() == 128 + 9


def test_arguments_arrive_as_they_are(lab: Path):
    odd = ["a b", "'", "$HOME", "--help", "*"]
    with at_terminal(lab, "devices", "shell", "board-a", "--", "printf", "<%s>", *odd) as it:
        assert it.code() == 0
        assert "".join(f"<{word}>" for word in odd) in it.shown


def test_a_lost_connection_gives_the_terminal_back(own_sshd: SshdBoard, tmp_path: Path):
    (tmp_path / "devices.toml").write_text(to_toml([own_sshd.device()]))
    command = ("sh", "-c", "echo re''ady; sleep 300")
    with at_terminal(tmp_path, "devices", "shell", "board-a", "--", *command) as it:
        it.expect("ready")
        assert it.settings() != it.before
        own_sshd.kill()
        it.expect(r"Error:.*was lost while the shell was open")
        assert it.code() == 4
        assert it.settings() == it.before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_us_gives_the_terminal_back(lab: Path, number: signal.Signals):
    command = ("sh", "-c", "echo re''ady; sleep 300")
    with at_terminal(lab, "devices", "shell", "board-a", "--", *command) as it:
        it.expect("ready")
        it.process.send_signal(number)
        assert it.code() == 128 + number
        assert it.settings() == it.before


def in_a_pipe(lab: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = "import sys; from slmdeploy.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, "devices", "shell", *words],
        cwd=lab,
        env={**os.environ, "SLMDEPLOY_CONFIG_DIR": str(lab / "config")},
        input=stdin,
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("name", ["board-a", "local"])
def test_in_a_script_a_command_has_our_input_and_both_outputs(lab: Path, name: str):
    done = in_a_pipe(lab, name, "--", "sh", "-c", "cat; echo err >&2; exit 9", stdin=b"\0in\xff")
    assert (done.returncode, done.stdout, done.stderr) == (9, b"\0in\xff", b"err\n")


def test_much_to_and_fro_at_once_does_not_block(lab: Path):
    data = os.urandom(6_000_000)
    assert in_a_pipe(lab, "board-a", "--", "cat", stdin=data).stdout == data


def test_in_a_script_a_command_must_be_named(lab: Path):
    done = in_a_pipe(lab, "board-a")
    assert done.returncode == 2
    assert b"needs a terminal" in done.stderr
    assert b"-- COMMAND" in done.stderr


def test_a_shell_has_no_json(lab: Path):
    done = in_a_pipe(lab, "board-a", "--json", "--", "true")
    assert done.returncode == 2
    assert b"no JSON" in done.stderr


def test_a_pipe_has_the_usual_size():
    reader, writer = os.pipe()
    assert window_size(reader) == (80, 24)
    os.close(reader)
    os.close(writer)


def test_a_raw_terminal_is_put_back_after_an_error():
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)
    with contextlib.suppress(RuntimeError), raw_terminal(theirs):
        assert termios.tcgetattr(theirs) != before
        raise RuntimeError
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
