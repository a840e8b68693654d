"""The lesser boards, for computers that forbid namespaces."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy.device.connect import connect
from tests.boards.emulated import need
from tests.boards.kinds import KINDS
from tests.boards.proot_board import ProotBoard
from tests.boards.readiness import why_no_proot

pytestmark = [pytest.mark.board, pytest.mark.slow]


@pytest.fixture(scope="module")
def lesser() -> Iterator[ProotBoard]:
    need(why_no_proot())
    board = ProotBoard(KINDS["orin-nano"])
    try:
        board.boot()
        yield board
    finally:
        board.down()


def say(board: ProotBoard, *argv: str) -> str:
    with closing(connect(board.device())) as transport:
        done = transport.run(argv)
    return (done.stdout + done.stderr).strip()


def test_it_is_an_aarch64_computer(lesser: ProotBoard) -> None:
    assert say(lesser, "uname", "-mr") == "5.15.148-tegra aarch64"
    assert say(lesser, "id", "-un") == "device"


def test_its_sensors_change(lesser: ProotBoard) -> None:
    lesser.set(temperature=70.5, mode=2)
    assert say(lesser, "cat", "/sys/class/thermal/thermal_zone0/temp") == "70500"
    assert say(lesser, "nvpmodel", "-q") == "NV Power Mode: MAXN_SUPER\n2"


def test_files_come_and_stay_and_are_seen_by_newer_programs_too(
    lesser: ProotBoard, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 4096
    (tmp_path / "file").write_bytes(data)
    target = f"{lesser.user_home}/a file"
    with closing(connect(lesser.device())) as transport:
        transport.put(tmp_path / "file", target)
    assert say(lesser, "sha256sum", target).split()[0] == hashlib.sha256(data).hexdigest()
    assert say(lesser, "stat", "-c", "%s %U", target) == f"{len(data)} device"


def test_a_reboot_ends_what_ran(lesser: ProotBoard) -> None:
    say(lesser, "sh", "-c", "setsid sleep 54321 > /dev/null 2>&1 &")
    lesser.reboot()
    assert say(lesser, "pgrep", "-f", "sleep 5432[1]") == ""
