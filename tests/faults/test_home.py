"""The home folder on the board is read-only, as after an error of its card."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boards.emulated_board import EmulatedBoard
from tests.faults.commands import Lab

pytestmark = pytest.mark.board


def test_the_home_is_read_only(pi: EmulatedBoard, lab: Lab, kjv: Path) -> None:
    push = ("push", kjv, "--device", "pi", "--json")
    generate = ("generate", kjv, "In the beginning", "--device", "pi", "--max-new", 2)
    pi.make_home_read_only()
    for words in (push, generate):
        done = lab.run(*words)
        assert done.code == 4
        assert "Read-only file system" in done.err
        assert f"{pi.user_home}/.slmdeploy" in done.err
    pi.make_home_writable()
    assert lab.run(*push).code == 0
    assert lab.run(*generate).code == 0
