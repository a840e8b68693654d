"""The board's clock is wrong by a year, as that of a Pi without network is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boards.emulated_board import EmulatedBoard
from tests.faults.commands import Lab
from tests.faults.on_board import bundles

pytestmark = pytest.mark.board
YEAR = 365 * 86400


def test_wrong_by_a_year(pi: EmulatedBoard, lab: Lab, kjv: Path) -> None:
    push = ("push", kjv, "--device", "pi", "--json")
    workload = ("--prompt", 4, "--generate", 4, "--runs", 1, "--json")
    pi.set_clock(-YEAR)
    assert lab.run(*push).result["sent_bytes"] > 0
    assert lab.run("bench", kjv, "--device", "pi", *workload).result["status"] == "valid"
    pi.set_clock(YEAR)
    assert lab.run(*push).result["sent_bytes"] == 0
    # The lease of the measurement is over, and the next one is given.
    words = ("generate", kjv, "In the beginning", "--device", "pi", "--max-new", 2)
    assert lab.run(*words).code == 0
    assert len(bundles(pi.device())) == 1
