"""A board is known by its device tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.device.lab.board_guess import guess_board
from slmdeploy.transport.base import Result
from slmdeploy.transport.fake import FakeTransport


@pytest.mark.parametrize(
    ("said", "board"),
    [
        ("raspberrypi,5-model-b\nbrcm,bcm2712\n\n--\nRaspberry Pi 5 Model B Rev 1.0\0", "rpi5"),
        ("\n--\nRaspberry Pi 4 Model B Rev 1.4\0", "rpi4"),
        (
            "nvidia,p3768-0000+p3767-0005\nnvidia,p3767-0005\n\n--\nNVIDIA Jetson Orin Nano\0",
            "jetson-orin-nano",
        ),
        ("\n--\nNVIDIA Jetson AGX Orin Developer Kit\0", "jetson-agx-orin"),
    ],
)
def test_known_boards(tmp_path: Path, said: str, board: str):
    transport = FakeTransport(tmp_path, lambda _: Result(0, said, ""))
    assert guess_board(transport).value == board


def test_another_board_is_quoted(tmp_path: Path):
    transport = FakeTransport(tmp_path, lambda _: Result(0, "\n--\nRadxa ROCK 5B\0", ""))
    reading = guess_board(transport)
    assert reading.value is None
    assert reading.reason == "it is a 'Radxa ROCK 5B', which slmdeploy does not know"


def test_a_computer_without_a_device_tree_says_so(tmp_path: Path):
    transport = FakeTransport(tmp_path, lambda _: Result(1, "", "it has no device tree\n"))
    assert guess_board(transport).reason == "it has no device tree, so it tells no board"
