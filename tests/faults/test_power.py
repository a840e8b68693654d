"""The power is cut, or the board restarts: in the middle of a push, and of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boards.emulated_board import EmulatedBoard
from tests.faults.commands import Lab
from tests.faults.exports import MIB, changed
from tests.faults.on_board import (
    LONG_AGO,
    Held,
    bundles,
    hold_run,
    incoming_bytes,
    left_over,
)

pytestmark = pytest.mark.board


def test_cut_during_upload(pi: EmulatedBoard, lab: Lab, large: Path) -> None:
    words = ("push", large, "--device", "pi", "--json")
    push = lab.start(*words)
    push.wait_until(lambda: incoming_bytes(pi) > 12 * MIB)
    pi.cut()
    done = push.done()
    assert done.code == 4
    assert "connection to pi was lost while files were sent" in done.err
    pi.boot()
    assert bundles(pi.device()) == set()
    again = lab.run(*words).result
    assert again["skipped_bytes"] >= 11 * MIB
    assert len(bundles(pi.device())) == 1
    assert left_over(pi.device()) == []


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("incoming/", id="before a file gets its name", marks=pytest.mark.slow),
        pytest.param("bundles/padded/", id="before the folder gets its name"),
        pytest.param(".current-", id="before it is the current one", marks=pytest.mark.slow),
    ],
)
def test_cut_between_upload_and_rename(
    pi: EmulatedBoard, lab: Lab, large: Path, tmp_path: Path, step: str
) -> None:
    assert lab.run("push", large, "--device", "pi").code == 0
    old = bundles(pi.device())
    words = ("push", changed(large, tmp_path, at=20 * MIB), "--device", "pi", "--json")
    held = Held(pi, "mv", step)
    push = lab.start(*words)
    push.wait_until(held.is_reached)
    pi.cut()
    assert push.done().code == 4
    pi.boot()
    held.let_go()
    assert bundles(pi.device()) >= old
    again = lab.run(*words).result
    assert again["sent_bytes"] == 0  # all of it had arrived
    assert bundles(pi.device()) > old
    pi.root(["find", f"{pi.user_home}/.slmdeploy/incoming", "-exec", *LONG_AGO])
    assert lab.run("devices", "gc", "pi").code == 0
    assert left_over(pi.device()) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["power_cycle", "reboot"])
def test_restarted_in_the_middle_of_a_run(pi: EmulatedBoard, lab: Lab, kjv: Path, how: str) -> None:
    words = ("bench", kjv, "--device", "pi", "--prompt", 4, "--generate", 4, "--runs", 1, "--json")
    bench = lab.start(*words)
    hold_run(pi, bench)
    getattr(pi, how)()
    done = bench.done()
    assert done.code == 4
    assert "pi was restarted while the run runner-" in done.out
    assert lab.run(*words).result["status"] == "valid"
    kept = lab.run("runs", "list", "--json").document["runs"]
    assert [run["status"] for run in kept] == ["valid", "failed"]
