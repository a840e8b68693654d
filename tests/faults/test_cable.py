"""The cable is pulled: nothing is closed, nobody is told."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.boards.emulated_board import EmulatedBoard
from tests.faults.commands import Lab
from tests.faults.exports import MIB
from tests.faults.on_board import bundles, hold_run, incoming_bytes, left_over

pytestmark = pytest.mark.board


def test_pulled_during_upload(pi: EmulatedBoard, lab: Lab, large: Path) -> None:
    words = ("push", large, "--device", "pi", "--json")
    push = lab.start(*words)
    push.wait_until(lambda: incoming_bytes(pi) > 12 * MIB)
    pi.unplug()
    done = push.done()
    assert done.code == 4
    assert "connection to pi was lost while files were sent" in done.err
    assert "the same command goes on" in done.err
    pi.plug()
    assert bundles(pi.device()) == set()
    again = lab.run(*words).result
    assert again["skipped_bytes"] >= 11 * MIB
    assert len(bundles(pi.device())) == 1
    assert left_over(pi.device()) == []


@pytest.mark.slow
def test_pulled_for_a_moment_during_upload(pi: EmulatedBoard, lab: Lab, large: Path) -> None:
    push = lab.start("push", large, "--device", "pi")
    push.wait_until(lambda: incoming_bytes(pi) > 12 * MIB)
    pi.unplug()
    pi.plug()
    assert push.done().code == 0
    assert len(bundles(pi.device())) == 1


@pytest.mark.slow
def test_pulled_for_a_moment_in_the_middle_of_a_run(pi: EmulatedBoard, lab: Lab, kjv: Path) -> None:
    words = ("bench", kjv, "--device", "pi", "--prompt", 4, "--generate", 8, "--runs", 1, "--json")
    bench = lab.start(*words)
    runner = hold_run(pi, bench)
    pi.unplug()
    os.kill(runner, signal.SIGCONT)
    pi.plug()
    record = bench.done().result
    assert record["status"] == "valid"
    assert [sample["outcome"] for sample in record["samples"]] == ["ok", "ok"]


@pytest.mark.slow
def test_pulled_in_the_middle_of_a_run(pi: EmulatedBoard, lab: Lab, kjv: Path) -> None:
    """It stays away for too long; the run goes on, and nobody waits for it any more."""
    words = ("bench", kjv, "--device", "pi", "--prompt", 4, "--generate", 8, "--runs", 1, "--json")
    bench = lab.start(*words)
    hold_run(pi, bench)
    pi.unplug()
    done = bench.done()
    assert done.code == 4
    assert "slmdeploy devices jobs pi" in done.out  # where the run goes on
    pi.plug()
    again = lab.run(*words)
    assert "took pi from" in again.err
    assert again.result["status"] == "valid"
