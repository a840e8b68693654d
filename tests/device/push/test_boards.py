"""Pushes to emulated boards: another processor's tools, power cuts, pulled cables."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy.bundle.manifest import Manifest
from slmdeploy.device.connect import connect
from slmdeploy.device.push.garbage import collect_garbage
from slmdeploy.device.push.push import Deployment, push
from slmdeploy.errors import ConnectError, TransferError
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.transport.base import Transport
from tests.boards.emulated import OwnBoard
from tests.boards.emulated_board import EmulatedBoard
from tests.device.bundles import make_bundle, make_runner

pytestmark = pytest.mark.board
MIB = 1 << 20
Bundle = tuple[Path, Manifest]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle", model=os.urandom(12 * MIB))


@pytest.fixture
def runner(tmp_path: Path) -> RunnerFiles:
    return make_runner(tmp_path / "runner")


def digest(device: Transport, done: Deployment) -> str:
    return device.check(["sha256sum", done.model_path]).stdout.split()[0]


def changed(folder: Path, bundle: Bundle) -> Bundle:
    model = bytearray((bundle[0] / "model.pte").read_bytes())
    model[5 * MIB] ^= 1
    return make_bundle(folder, model=bytes(model))


def test_a_push_a_change_and_a_second_push(
    own_board: OwnBoard, bundle: Bundle, runner: RunnerFiles, tmp_path: Path
):
    board: EmulatedBoard = own_board("rpi5")
    with closing(connect(board.device("pi"))) as device:
        done = push(*bundle, runner, device)
        assert digest(device, done) == bundle[1].artifact.sha256
        assert device.check([f"{done.runner_dir}/slmd-runner"]).stdout == "started\n"
        assert push(*bundle, runner, device).sent_bytes == 0
        other = changed(tmp_path / "other", bundle)
        again = push(*other, runner, device)
        assert again.sent_bytes < 2 * MIB
        assert digest(device, again) == other[1].artifact.sha256
        assert collect_garbage(device).paths == ()


def test_power_is_cut_in_the_middle_and_comes_back(
    own_board: OwnBoard, bundle: Bundle, runner: RunnerFiles, tmp_path: Path
):
    board: EmulatedBoard = own_board("orin-nano")
    with closing(connect(board.device("nano"))) as device:
        old = push(*bundle, runner, device)
        new = make_bundle(tmp_path / "new", model=os.urandom(12 * MIB))

        def restart(done: int, total: int) -> None:
            if done > total // 2:
                board.reboot()

        with pytest.raises(ConnectError):
            push(*new, runner, device, progress=restart)
        assert digest(device, old) == bundle[1].artifact.sha256
        done = push(*new, runner, device)
        assert digest(device, done) == new[1].artifact.sha256
        assert done.sent_bytes < 11 * MIB


def test_a_small_disk_is_refused_before_and_the_board_goes_on(
    own_board: OwnBoard, bundle: Bundle, runner: RunnerFiles, tmp_path: Path
):
    board: EmulatedBoard = own_board("rpi4", home_disk=32 * MIB)
    with closing(connect(board.device("pi4"))) as device:
        big = make_bundle(tmp_path / "big", model=os.urandom(40 * MIB))
        with pytest.raises(TransferError, match="bytes free"):
            push(*big, runner, device)
        assert digest(device, push(*bundle, runner, device)) == bundle[1].artifact.sha256


@pytest.mark.slow
def test_a_cable_that_is_pulled_and_put_back(
    own_board: OwnBoard, bundle: Bundle, runner: RunnerFiles
):
    """Nothing is heard of a pulled cable; it is noticed in half a minute."""
    board: EmulatedBoard = own_board("rpi5")
    with closing(connect(board.device("pi"))) as device:

        def pull(done: int, total: int) -> None:
            if done > total // 2:
                board.unplug()

        with pytest.raises((ConnectError, TransferError)):
            push(*bundle, runner, device, progress=pull)
        board.plug()
        done = push(*bundle, runner, device)
        assert digest(device, done) == bundle[1].artifact.sha256
        assert done.sent_bytes < 11 * MIB
