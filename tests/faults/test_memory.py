"""The board's kernel ends the runner for want of memory."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.boards.emulated_board import EmulatedBoard
from tests.faults.commands import Lab
from tests.faults.exports import MIB
from tests.faults.on_board import hold_run

pytestmark = pytest.mark.board


def resident(board: EmulatedBoard) -> int:
    """Memory that the board's processes have for themselves, in bytes."""
    group = board._slot.memory_group
    if group is None:
        pytest.skip("an emulated board whose memory cannot be limited here")
    rows = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return int(rows["total_rss"] if "total_rss" in rows else rows["anon"])


def test_the_runner_is_killed_for_want_of_memory(pi: EmulatedBoard, lab: Lab, kjv: Path) -> None:
    words = ("generate", kjv, "In the beginning", "--device", "pi", "--max-new", 4, "--json")
    assert lab.run("push", kjv, "--device", "pi").code == 0
    generate = lab.start(*words)
    runner = hold_run(pi, generate)
    pi.limit_memory(resident(pi) + 8 * MIB)
    os.kill(runner, signal.SIGCONT)
    done = generate.done()
    assert done.code == 4
    assert "The runner was ended by SIGKILL" in done.err
    assert "The board ran out of memory" in done.err
    pi.limit_memory(None)
    assert lab.run(*words).code == 0
