"""What the tests of faults share: a lab, a bundle to send, a bundle to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boards.emulated import OwnBoard
from tests.boards.emulated_board import EmulatedBoard
from tests.boards.sshd import SshdBoard
from tests.faults.commands import Lab
from tests.faults.exports import exported, padded


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A project with an empty inventory."""
    return Lab(tmp_path / "lab")


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of 30 MiB, to be sent and not run."""
    return padded(tmp_path_factory.mktemp("padded"))


@pytest.fixture(scope="session")
def kjv(request: pytest.FixtureRequest) -> Path:
    """tiny-kjv in float32, to be run."""
    return exported(request, "none")


@pytest.fixture
def pi(own_board: OwnBoard, lab: Lab) -> EmulatedBoard:
    """An emulated board of the test's own, which the lab knows as ``pi``."""
    board = own_board("rpi5")
    lab.add(board.device("pi"))
    return board


@pytest.fixture
def near(own_sshd: SshdBoard, lab: Lab) -> SshdBoard:
    """An sshd of this computer, which the lab knows as ``pi``: quick, for faults of no hardware."""
    lab.add(own_sshd.device("pi"))
    return own_sshd
