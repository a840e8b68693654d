"""A slow link. A lossy one needs a kernel of its own: ``test_vm``."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.boards.emulated_board import EmulatedBoard
from tests.faults.commands import Lab
from tests.faults.exports import MIB, padded
from tests.faults.on_board import bundles

pytestmark = pytest.mark.board


def test_a_slow_link_takes_its_time(pi: EmulatedBoard, lab: Lab, tmp_path: Path) -> None:
    bundle = padded(tmp_path, size=MIB)
    pi.shape(rate="24mbit", latency="200ms")
    begin = time.monotonic()
    sent = lab.run("push", bundle, "--device", "pi", "--json").result["sent_bytes"]
    assert time.monotonic() - begin > sent / 3e6  # 24 Mbit/s
    assert len(bundles(pi.device())) == 1
