"""Somebody else measures on the board, or a command of ours that was killed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.runs.lease import leased
from tests.boards.emulated_board import EmulatedBoard
from tests.boards.sshd import SshdBoard
from tests.faults.commands import Lab
from tests.faults.on_board import hold_run


def bench(kjv: Path) -> tuple[object, ...]:
    return ("bench", kjv, "--device", "pi", "--prompt", 4, "--generate", 4, "--runs", 1, "--json")


def test_a_second_user_holds_the_lease(near: SshdBoard, lab: Lab, kjv: Path) -> None:
    with closing(connect(near.device())) as transport:
        with leased(transport, owner="eve@bench-2 (process 7)", command="slmdeploy bench theirs"):
            done = lab.run(*bench(kjv))
            assert done.code == 4
            assert "pi is in use: eve@bench-2 (process 7)" in done.err
            assert "slmdeploy bench theirs" in done.err
            assert "--steal" in done.err
        assert lab.run(*bench(kjv)).result["status"] == "valid"
        with leased(transport, owner="eve@bench-2 (process 7)"):
            stolen = lab.run(*bench(kjv), "--steal")
    assert "took pi from eve@bench-2 (process 7)" in stolen.err
    assert stolen.result["status"] == "valid"


@pytest.mark.board
def test_our_command_is_killed_in_the_middle_of_its_run(
    pi: EmulatedBoard, lab: Lab, kjv: Path
) -> None:
    words = ("generate", kjv, "In the beginning", "--device", "pi", "--max-new", 4)
    first = lab.start(*words)
    hold_run(pi, first)
    first.kill()
    again = lab.run(*words)
    assert again.code == 0
    assert "took pi from" in again.err
    jobs = lab.run("devices", "jobs", "pi", "--json").document["jobs"]
    assert "stopped" in [job["reason"] for job in jobs]
