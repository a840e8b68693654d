"""On a computer with its own kernel: what a disk forgets when the power is cut, a lossy link."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy import pipeline
from slmdeploy.errors import ConnectError
from slmdeploy.progress import Step
from tests.boards.places import BoardError
from tests.boards.vm_board import VmBoard
from tests.faults.commands import Lab
from tests.faults.exports import MIB, changed, padded
from tests.faults.on_board import LONG_AGO, bundles, left_over, looked_at

pytestmark = [pytest.mark.board, pytest.mark.slow]

TOOL = "/usr/local/bin/mv"
HOLD = '#!/bin/sh\ncase "$*" in *"{}"*) : >/run/held; sleep 600 ;; esac\nexec /bin/mv "$@"\n'
PLACE = 'mkdir -p "${1%/*}" && cat >"$1" && chmod 755 "$1" && chmod 777 /run && sync'


@pytest.fixture
def vm(vm_board: VmBoard, lab: Lab) -> VmBoard:
    """A whole computer, which the lab knows as ``pi``."""
    lab.add(vm_board.device("pi"))
    return vm_board


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A bundle of 8 MiB: everything takes its time there."""
    return padded(tmp_path, size=8 * MIB)


@pytest.fixture
def in_lab(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process works in the project, and knows soon when a line is dead."""
    monkeypatch.chdir(lab.folder)
    monkeypatch.setattr("slmdeploy.transport.ssh.link.DEAD_LINK_SECONDS", 6)


def is_held(vm: VmBoard) -> bool:
    try:
        vm.root(["test", "-e", "/run/held"])
    except BoardError:
        return False
    return True


@pytest.mark.usefixtures("in_lab")
@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_cut_during_upload(
    vm: VmBoard, lab: Lab, small: Path, tmp_path: Path, share: float
) -> None:
    """The first version is there for long, the second is being sent."""
    assert lab.run("push", small, "--device", "pi").code == 0
    old = bundles(vm.device())
    new = padded(tmp_path / "new", "padded", size=8 * MIB)

    cut_at: list[int] = []

    def cut(step: Step) -> None:
        sent, total = step.done or 0, step.total or 0
        if not cut_at and step.unit == "bytes" and total and sent >= total * share:
            cut_at.append(sent)
            vm.cut()

    (attempt,) = pipeline.push(new, devices=["pi"], progress=cut)
    assert isinstance(attempt.error, ConnectError)
    vm.boot()
    assert bundles(vm.device()) == old
    (again,) = pipeline.push(new, devices=["pi"])
    assert again.error is None
    assert bundles(vm.device()) > old
    assert left_over(vm.device()) == []


@pytest.mark.parametrize("step", ["incoming/", "bundles/padded/", ".current-"])
def test_cut_between_upload_and_rename(
    vm: VmBoard, lab: Lab, small: Path, tmp_path: Path, step: str
) -> None:
    assert lab.run("push", small, "--device", "pi").code == 0
    old = bundles(vm.device())
    words = ("push", changed(small, tmp_path, at=5 * MIB), "--device", "pi")
    vm.root(["sh", "-c", PLACE, "sh", TOOL], stdin=HOLD.format(step).encode())
    push = lab.start(*words)
    push.wait_until(lambda: is_held(vm))
    vm.cut()
    assert push.done().code == 4
    vm.boot()
    vm.root(["rm", "-f", TOOL])
    assert bundles(vm.device()) >= old
    assert lab.run(*words).code == 0
    assert bundles(vm.device()) > old
    vm.root(["find", f"{vm.user_home}/.slmdeploy/incoming", "-exec", *LONG_AGO])
    assert lab.run("devices", "gc", "pi").code == 0
    assert left_over(vm.device()) == []


def test_cut_right_after_a_push_was_reported_done(vm: VmBoard, lab: Lab, small: Path) -> None:
    assert lab.run("push", small, "--device", "pi").code == 0
    vm.power_cycle()
    assert len(bundles(vm.device())) == 1
    assert lab.run("push", small, "--device", "pi", "--json").result["sent_bytes"] == 0


def test_cut_in_the_middle_of_a_run(vm: VmBoard, lab: Lab, kjv: Path) -> None:
    words = ("bench", kjv, "--device", "pi", "--prompt", 4, "--generate", 48, "--runs", 1, "--json")
    bench = lab.start(*words)
    bench.wait_until(lambda: runner_is_held(vm))
    vm.power_cycle()
    done = bench.done()
    assert done.code == 4
    # The disk may have forgotten that there was a run.
    assert "pi was restarted while the run" in done.out or "lost its power" in done.out
    assert lab.run(*words).result["status"] == "valid"


def runner_is_held(vm: VmBoard) -> bool:
    try:
        vm.root(["pkill", "-STOP", "-x", "slmd-runner"])
    except BoardError:
        return False
    return True


def test_a_lossy_link(vm: VmBoard, lab: Lab, kjv: Path) -> None:
    vm.lose(5, delay="20ms")
    words = ("generate", kjv, "In the beginning", "--device", "pi", "--max-new", 4)
    assert lab.run(*words).code == 0
    assert len(bundles(vm.device())) == 1


def test_the_only_disk_gets_full(vm: VmBoard, lab: Lab, small: Path) -> None:
    words = ("push", small, "--device", "pi")
    vm.fill_disk(leave=10 * MIB)
    done = lab.run(*words)
    assert done.code == 4
    assert "bytes free" in done.err
    assert looked_at(vm.device())["blobs"] == []
    vm.root(["rm", "/filler"])
    assert lab.run(*words).code == 0


def test_the_clock_jumps_forward_by_a_year_between_a_cut_and_the_next_try(
    vm: VmBoard, lab: Lab, small: Path
) -> None:
    words = ("push", small, "--device", "pi", "--json")
    vm.set_clock(-365 * 86400)
    assert lab.run(*words).result["sent_bytes"] > 0
    vm.set_clock(0)
    assert lab.run(*words).result["sent_bytes"] == 0
    assert len(bundles(vm.device())) == 1
