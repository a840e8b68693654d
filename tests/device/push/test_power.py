"""Power cuts on a whole emulated computer: what was not flushed is really gone there."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy.bundle.manifest import Manifest
from slmdeploy.device.connect import connect
from slmdeploy.device.push import scripts as push_scripts
from slmdeploy.device.push.deployments import list_deployments
from slmdeploy.device.push.push import Deployment, push
from slmdeploy.errors import ConnectError, TransferError
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.transport.base import Result, Transport
from slmdeploy.transport.ssh.transport import SshTransport
from tests.boards.vm_board import VmBoard
from tests.device.bundles import make_bundle, make_runner

pytestmark = [pytest.mark.board, pytest.mark.slow]
MIB = 1 << 20
Bundle = tuple[Path, Manifest]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle", model=os.urandom(12 * MIB))


@pytest.fixture
def runner(tmp_path: Path) -> RunnerFiles:
    return make_runner(tmp_path / "runner")


def whole(device: Transport, done: Deployment, bundle: Bundle) -> bool:
    said = device.check(["sha256sum", done.model_path]).stdout
    return said.split()[0] == bundle[1].artifact.sha256


def around(monkeypatch: pytest.MonkeyPatch, text: str, hook: Callable[[], None], when: str) -> None:
    """Do something before or after a script of the push is run."""
    run = SshTransport.run

    def hooked(self: SshTransport, argv: list[str], **how: object) -> Result:
        mine = len(argv) > 2 and argv[2] == text
        if mine and when == "before":
            hook()
        result = run(self, argv, **how)  # type: ignore[arg-type]
        if mine and when == "after":
            hook()
        return result

    monkeypatch.setattr(SshTransport, "run", hooked)


def test_power_is_cut_between_upload_and_rename(
    vm_board: VmBoard,
    bundle: Bundle,
    runner: RunnerFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    with closing(connect(vm_board.device())) as device:
        old = push(*bundle, runner, device)
        new = make_bundle(tmp_path / "new", model=os.urandom(12 * MIB))
        with monkeypatch.context() as patch:
            around(patch, push_scripts.FINISH, vm_board.cut, "before")
            with pytest.raises(ConnectError):
                push(*new, runner, device)
        vm_board.boot()
        device.close()
        assert [v.digest for v in list_deployments(device).versions] == [old.digest[:12]]
        assert whole(device, old, bundle)
        done = push(*new, runner, device)
        assert done.sent_bytes < MIB  # it was flushed before it was said to be there
        assert whole(device, done, new)


def test_what_was_said_to_be_done_outlives_a_power_cut(
    vm_board: VmBoard, bundle: Bundle, runner: RunnerFiles, monkeypatch: pytest.MonkeyPatch
):
    with closing(connect(vm_board.device())) as device:
        with monkeypatch.context() as patch:
            around(patch, push_scripts.FINISH, vm_board.cut, "after")
            done = push(*bundle, runner, device)
        vm_board.boot()
        device.close()
        assert whole(device, done, bundle)
        (version,) = list_deployments(device).versions
        assert version.current
        assert push(*bundle, runner, device).sent_bytes == 0


def test_power_is_cut_during_the_upload(
    vm_board: VmBoard, bundle: Bundle, runner: RunnerFiles, tmp_path: Path
):
    """What of the part reached the disk may be anything; the result is whole in any case."""
    with closing(connect(vm_board.device())) as device:
        old = push(*bundle, runner, device)
        new = make_bundle(tmp_path / "new", model=os.urandom(12 * MIB))

        def cut(done: int, total: int) -> None:
            if done > total * 2 // 3:
                vm_board.cut()

        with pytest.raises((ConnectError, TransferError)):
            push(*new, runner, device, progress=cut)
        vm_board.boot()
        device.close()
        assert whole(device, old, bundle)
        assert whole(device, push(*new, runner, device), new)


def test_a_full_disk_and_a_wrong_clock(vm_board: VmBoard, bundle: Bundle, runner: RunnerFiles):
    vm_board.set_clock(-365 * 86400)
    with closing(connect(vm_board.device())) as device:
        vm_board.fill_disk(leave=6 * MIB)
        with pytest.raises(TransferError, match="bytes free"):
            push(*bundle, runner, device)
        vm_board.root(["rm", "/filler"])
        done = push(*bundle, runner, device)
        assert whole(device, done, bundle)
        (version,) = list_deployments(device).versions
        assert version.pushed is not None
        assert version.pushed > "2026"  # by the clock of this computer
