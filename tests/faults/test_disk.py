"""The disk of the board is full: seen before the first byte, or only in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boards.emulated import OwnBoard
from tests.boards.emulated_board import EmulatedBoard
from tests.faults.commands import Lab
from tests.faults.exports import MIB
from tests.faults.on_board import bundles, incoming_bytes, left_over, looked_at

pytestmark = pytest.mark.board

# Takes all that is left, as another program on the board does.
FILL = 'dd if=/dev/zero of="$1/theirs" bs=65536 count="$2" 2>/dev/null; :'


@pytest.fixture
def small(own_board: OwnBoard, lab: Lab) -> EmulatedBoard:
    """A board whose home has 96 MiB; a bundle and its runner need 42."""
    board = own_board("rpi5", home_disk=96 * MIB)
    lab.add(board.device("pi"))
    return board


def fill(board: EmulatedBoard, size: int) -> None:
    board.root(["sh", "-c", FILL, "sh", board.user_home, str(size // 65536)])


def empty(board: EmulatedBoard) -> None:
    board.root(["rm", f"{board.user_home}/theirs"])


def test_full_before(small: EmulatedBoard, lab: Lab, large: Path) -> None:
    words = ("push", large, "--device", "pi", "--json")
    fill(small, 60 * MIB)
    done = lab.run(*words)
    assert done.code == 4
    assert "bytes free" in done.err
    assert "slmdeploy devices gc pi" in done.err
    assert looked_at(small.device())["blobs"] == []  # nothing was sent
    empty(small)
    assert lab.run(*words).code == 0
    assert len(bundles(small.device())) == 1


def test_filled_by_others_during_upload(small: EmulatedBoard, lab: Lab, large: Path) -> None:
    words = ("push", large, "--device", "pi", "--json")
    push = lab.start(*words)
    push.wait_until(lambda: incoming_bytes(small) > 4 * MIB)
    fill(small, 200 * MIB)
    done = push.done()
    assert done.code == 4
    assert "No space left on device" in done.err
    assert "slmdeploy devices gc pi" in done.err
    assert bundles(small.device()) == set()
    assert left_over(small.device()) == []
    empty(small)
    assert lab.run(*words).code == 0
    assert len(bundles(small.device())) == 1
