"""Tiers B and C: emulated aarch64 boards as pytest fixtures.

Tier B is a real aarch64 Debian, its programs run by qemu's user mode in namespaces of their
own: own address, own processes, own /sys and vendor's tools, real sshd and real sudo. It
needs root and what ``scripts/setup --boards`` installs; elsewhere its tests are skipped with
the reason (with SLMDEPLOY_REQUIRE_BOARDS=1 they fail). The first use on a computer takes
some ten seconds (root file system, cached in ~/.cache/slmdeploy-boards), later ones half a second.

Fixtures, shared by the tests of a worker, who leave them as they were::

    @pytest.mark.board
    def test_it(rpi5: EmulatedBoard) -> None:      # also rpi4, orin_nano, agx_orin
        device = rpi5.device("pi")                 # slmdeploy Device, host key pinned
        with closing(connect(device)) as transport: ...    # as with any other device

A board of the test's own, to break; ``own_board(kind, **how)`` boots it and removes it after
the test::

    def test_it(own_board: OwnBoard) -> None:
        board = own_board("rpi5")                  # or rpi4, orin-nano, agx-orin
        own_board("orin-nano", name="b")           # several at once
        own_board("rpi5", sudo=False)              # sudo -n is refused
        own_board("rpi5", home_disk=32 << 20)      # home on an ext4 disk of 32 MiB, to fill
        own_board("rpi5", temperature=80.0)        # any value of its sensors

What a board has and can::

    board.device(name), board.host_key, board.address, board.port (22), board.user ("device"),
    board.user_home ("/home/device"), board.client_key, board.kind.board ("jetson-orin-nano")

    board.set(temperature=82.5, throttled=0x50005, under_voltage=True, governor="powersave")
        Sensors while it runs; ``board.sensors.values`` lists what a kind has. For all:
        temperature (C), khz, min_khz, max_khz, governor, load, memory_total,
        memory_available, swap_total, swap_used (bytes). Pi: throttled, under_voltage,
        core_volts; Pi 5 also fan_rpm, rails={"VDD_CORE": (volts, amperes)}, rails_nan.
        Jetson: gpu_temperature, soc_temperature, cv_temperature (None: powered down),
        gpu_load (per mille), gpu_khz, mode (id of nvpmodel), l4t, fan_rpm,
        rails={"VDD_IN": (volts, amperes), ...}.
    board.write("/sys/class/thermal/thermal_zone0/temp", "1\\n")   any file, as its root
    board.root(["cat", "/etc/shadow"])                             a command as root: its output
    board.host_path("/home/device/x")                              that file, on this computer

    board.cut()          power off at once; who was connected hears nothing (silent, no FIN)
    board.boot()         on again: files stay, /run and /tmp are empty, uptime and boot_id new
    board.power_cycle()  cut and boot;  board.reboot(): in order, connections are closed
    board.unplug(), board.plug()                       the cable: silence
    board.shape(rate="8mbit", latency="50ms"), board.shape(rate=None)     a slow cable
    board.limit_memory(300 << 20), board.limit_memory(None)      OOM kills (exit code 137)
    board.stop_sshd(), board.start_sshd()              port refused; sessions end, jobs go on
    board.hang_sshd(), board.unhang_sshd()             port accepts and says nothing
    board.change_host_key()                            as re-imaged (take device() before)
    board.set_clock(-365 * 86400)                      wall clock off, monotonic true
    board.make_home_read_only(), board.make_home_writable()

Tier C, in tests marked ``slow``: a whole aarch64 computer with a kernel of its own, up in some
six seconds, fresh for each test::

    @pytest.mark.slow
    @pytest.mark.board
    def test_it(vm_board: VmBoard) -> None:
        vm_board.device(), .root(argv), .write(path, text), .user_home, .client_key
        vm_board.cut(), .boot(), .power_cycle(), .reboot(), .unplug(), .plug()
        vm_board.set_clock(-365 * 86400)           really
        vm_board.fill_disk(leave=1 << 20)          its only disk, ext4 with a journal
        vm_board.lose(3, delay="100ms")            percent of its packets

What tier B cannot show: lost data that was not fsynced (the page cache is this computer's).
Processors of this computer show through in nproc and /proc/stat; latencies are those
of an emulator; each process has some 20 MB of qemu in its RSS; there is no /proc/device-tree
(the same is at /sys/firmware/devicetree/base).
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.boards.binfmt import register
from tests.boards.emulated_board import EmulatedBoard
from tests.boards.kinds import KINDS
from tests.boards.places import BoardError, run_folder
from tests.boards.slots import clear_leftovers
from tests.boards.vm_board import VmBoard

REQUIRED = "SLMDEPLOY_REQUIRE_BOARDS"
PROGRAMS = {
    "qemu-aarch64-static": "qemu-user-static",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "tc": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "ssh-keygen": "openssh-client",
    "mkfs.ext4": "e2fsprogs",
}

VM_PROGRAMS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-img": "qemu-utils",
    "fdtput": "device-tree-compiler",
}


class OwnBoard(Protocol):
    """Makes and boots a board that a test may break."""

    def __call__(self, kind: str, **how: Any) -> EmulatedBoard: ...


@pytest.fixture(scope="session")
def rpi5() -> Iterator[EmulatedBoard]:
    """An emulated Raspberry Pi 5 for all tests that leave it whole."""
    yield from _shared("rpi5")


@pytest.fixture(scope="session")
def rpi4() -> Iterator[EmulatedBoard]:
    """An emulated Raspberry Pi 4 for all tests that leave it whole."""
    yield from _shared("rpi4")


@pytest.fixture(scope="session")
def orin_nano() -> Iterator[EmulatedBoard]:
    """An emulated Jetson Orin Nano for all tests that leave it whole."""
    yield from _shared("orin-nano")


@pytest.fixture(scope="session")
def agx_orin() -> Iterator[EmulatedBoard]:
    """An emulated Jetson AGX Orin for all tests that leave it whole."""
    yield from _shared("agx-orin")


@pytest.fixture
def vm_board() -> Iterator[VmBoard]:
    """A whole computer of the test's own, with a disk that can lose what was not fsynced."""
    _need(why_not() or _why_no_vm())
    board = VmBoard()
    try:
        board.boot()
        yield board
    finally:
        board.down()


@pytest.fixture
def own_board() -> Iterator[OwnBoard]:
    """Makes boards of the test's own, to break; they are removed after it."""
    _need(why_not())
    made: list[EmulatedBoard] = []

    def make(kind: str, **how: Any) -> EmulatedBoard:
        board = EmulatedBoard(KINDS[kind], **how)
        made.append(board)
        board.boot()
        return board

    yield make
    for board in made:
        board.down()


def _shared(kind: str) -> Iterator[EmulatedBoard]:
    _need(why_not())
    board = EmulatedBoard(KINDS[kind])
    try:
        board.boot()
        yield board
    finally:
        board.down()


def _need(reason: str | None) -> None:
    if reason is not None and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but {reason}")
    if reason is not None:
        pytest.skip(reason)


@functools.cache
def why_not() -> str | None:
    """Why this computer cannot run emulated boards; ``None`` where it can."""
    if os.geteuid() != 0:
        return "emulated boards need root (namespaces, binfmt_misc, a network of their own)"
    missing = sorted({package for name, package in PROGRAMS.items() if shutil.which(name) is None})
    if missing:
        return f"emulated boards need {' '.join(missing)} (scripts/setup --boards)"
    try:
        register()
    except BoardError as error:
        return f"emulated boards need binfmt_misc: {error}"
    overlay = _overlay_fails()
    if overlay is not None:
        return overlay
    clear_leftovers()
    return None


def _why_no_vm() -> str | None:
    missing = sorted(
        {package for name, package in VM_PROGRAMS.items() if shutil.which(name) is None}
    )
    if missing:
        return f"emulated boards of tier C need {' '.join(missing)} (scripts/setup --boards)"
    if not Path("/dev/net/tun").exists():
        return "emulated boards of tier C need /dev/net/tun"
    return None


def _overlay_fails() -> str | None:
    """Try namespaces and an overlay where boards would be."""
    folder = run_folder() / f"try-{os.getpid()}"
    for name in ("lower", "upper", "work", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    mount = ["mount", "-t", "overlay", "overlay", "-o", layers, str(folder / "root")]
    argv = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", *mount]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)
    if done.returncode == 0:
        return None
    return f"emulated boards need namespaces and overlayfs here: {done.stderr.strip()}"
