"""The board's kernel ends the runner for want of memory."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.boards.emulated_board import EmulatedBoard
from tests.faults.commands import Lab, Running
from tests.faults.on_board import hold_run

KIB = 1 << 10

pytestmark = pytest.mark.board


def resident(board: EmulatedBoard) -> int:
    """Memory that the board's processes have for themselves, in bytes."""
    group = board._slot.memory_group
    if group is None:
        pytest.skip("an emulated board whose memory cannot be limited here")
    rows = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return int(rows["total_rss"] if "total_rss" in rows else rows["anon"])


def anonymous(process: int) -> int:
    """Memory that one process has for itself, in bytes."""
    rows = Path(f"/proc/{process}/status").read_text().splitlines()
    (row,) = (row for row in rows if row.startswith("RssAnon:"))
    return int(row.split()[1]) * KIB


def just_too_little(board: EmulatedBoard, generate: Running) -> int:
    """What lets a runner start and not load its model, found from one that writes tokens."""
    generate.wait_for('"piece"')
    runner = hold_run(board, generate)
    limit = resident(board) - anonymous(runner) // 2
    os.kill(runner, signal.SIGCONT)
    assert generate.done().code == 0
    return limit


def test_the_runner_is_killed_for_want_of_memory(pi: EmulatedBoard, lab: Lab, kjv: Path) -> None:
    words = ("generate", kjv, "In the beginning", "--device", "pi", "--json", "--max-new")
    assert lab.run("push", kjv, "--device", "pi").code == 0
    pi.limit_memory(just_too_little(pi, lab.start(*words, 200)))
    done = lab.run(*words, 4)
    assert done.code == 4
    assert "The runner was ended by SIGKILL" in done.err
    assert "The board ran out of memory" in done.err
    pi.limit_memory(None)
    assert lab.run(*words, 4).code == 0
