from __future__ import annotations

import platform
from pathlib import Path

import pytest

from slmdeploy.device.provision import runner_choice
from slmdeploy.device.provision.runner_choice import runner_for
from slmdeploy.device.types import Device
from slmdeploy.errors import DeviceError
from slmdeploy.progress import silent
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.transport.base import Result
from slmdeploy.transport.fake import Command, FakeTransport

FILES = RunnerFiles({}, "slmd-runner")
BOARD = Device("board", host="board.lan")
OTHER = "x86_64" if platform.machine() == "aarch64" else "aarch64"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Which runners were asked for: architecture and C library."""
    calls: list[tuple[str, str | None]] = []

    def fake(arch: str, *, glibc: str | None = None, **_: object) -> RunnerFiles:
        calls.append((arch, glibc))
        return FILES

    monkeypatch.setattr(runner_choice, "runner_files", fake)
    return calls


def board(tmp_path: Path, machine: str, glibc: str) -> FakeTransport:
    def answer(command: Command) -> Result:
        return Result(0, f"{machine}\n" if command.argv[0] == "uname" else f"{glibc}\n", "")

    return FakeTransport(tmp_path, handler=answer)


@pytest.mark.parametrize(
    ("glibc", "linked_for"),
    [("glibc 2.36", None), ("glibc 2.34", None), ("glibc 2.31", "2.31"), ("", "2.31")],
)
def test_a_board_with_an_old_glibc_gets_a_runner_that_starts_there(
    tmp_path: Path, asked: list[tuple[str, str | None]], glibc: str, linked_for: str | None
) -> None:
    found = runner_for(BOARD, board(tmp_path, OTHER, glibc), "llm", silent)
    assert (found, asked) == (FILES, [(OTHER, linked_for)])


def test_this_computer_gets_its_own(tmp_path: Path, asked: list[tuple[str, str | None]]) -> None:
    local = Device("local", transport="local")
    runner_for(local, FakeTransport(tmp_path), "portable", silent)
    assert asked == [("host", None)]


def test_an_architecture_without_a_runner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="'armv7l'"):
        runner_for(BOARD, board(tmp_path, "armv7l", "glibc 2.36"), "llm", silent)
