"""The command that gives people without hardware a board."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boards.readiness import why_not

pytestmark = pytest.mark.board

BOARD = Path(__file__).with_name("board")
NAME = "of-the-tests"


@pytest.fixture(scope="module")
def said() -> Iterator[str]:
    """What ``board up`` prints."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    yield board("up", "rpi4", "--name", NAME).stdout
    board("down", NAME)


def board(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BOARD), *argv], capture_output=True, text=True, check=False)


def lines_of(said: str) -> dict[str, str]:
    """The device in the lines for devices.toml."""
    lines = said[said.index("[devices.") :]
    device: dict[str, str] = tomllib.loads(lines)["devices"][NAME]
    return device


def on(said: str, command: str) -> str:
    argv = next(row.split() for row in said.splitlines() if row.strip().startswith("ssh "))
    return subprocess.run([*argv, command], capture_output=True, text=True, check=True).stdout


def test_it_prints_what_devices_toml_needs(said: str) -> None:
    device = lines_of(said)
    assert sorted(device) == ["board", "host", "host_key", "identity_file", "user"]
    assert device["board"] == "rpi4"


def test_it_prints_the_command_that_adds_it(said: str) -> None:
    command = said[said.index("slmdeploy devices add") :]
    assert f"--identity-file {lines_of(said)['identity_file']}" in command
    assert "--fingerprint SHA256:" in command


def test_one_can_log_in_as_it_says(said: str) -> None:
    assert on(said, "uname -m") == "aarch64\n"


def test_the_fingerprint_can_be_compared_where_slmdeploy_says(said: str) -> None:
    shown = on(said, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert f"--fingerprint {shown}" in said


def test_its_sensors_change(said: str) -> None:
    board("set", NAME, "temperature=82.5", "throttled=0x50005")
    shown = on(said, "vcgencmd measure_temp; vcgencmd get_throttled")
    assert shown == "temp=82.5'C\nthrottled=0x50005\n"
    assert "temperature=82.5\n" in board("set", NAME).stdout


def test_a_sensor_that_it_does_not_have_is_named(said: str) -> None:
    done = board("set", NAME, "fan=3")
    assert done.returncode == 1
    assert done.stderr.startswith("board: this board has no fan; it has ")


def test_it_is_listed(said: str) -> None:
    assert f"{NAME}    rpi4" in board("list").stdout


def test_a_name_is_taken_once(said: str) -> None:
    assert "already on" in board("up", "rpi5", "--name", NAME).stderr


def test_an_unknown_board_is_named(said: str) -> None:
    assert board("down", "no-such").stderr.startswith("board: no board named no-such is on")
