"""Tiers B and C: emulated aarch64 boards as pytest fixtures.

Tier B is a real aarch64 Debian, its programs run by qemu's user mode in namespaces of their
own: own address, own processes, own /sys and vendor's tools, real sshd and real sudo. It
needs root (or ``tests/boards/as-root``) and what ``scripts/setup --boards`` installs;
elsewhere its tests are skipped with the reason (with SLMDEPLOY_REQUIRE_BOARDS=1 they fail).
The first use on a computer takes some ten seconds (a root file system, kept in
~/.cache/slmdeploy-boards), later ones half a second.

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
        cooling (steps that the CPU is slowed down by), over_current (events so far),
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

Where the computer forbids namespaces or binfmt_misc, as containers often do, the shared boards are
run by PRoot if that is installed: same files, sensors and programs on a port of loopback, and
``board.isolated`` is false: no name, processes, root, cable or power of its own.
``own_board`` and ``vm_board`` are skipped there. SLMDEPLOY_BOARDS_PROOT=1 asks for it anyway.

What tier B cannot show: lost data that was not fsynced (the page cache is this computer's).
Processors of this computer show through in nproc and /proc/stat; latencies are those
of an emulator; each process has some 20 MB of qemu in its RSS; there is no /proc/device-tree
(the same is at /sys/firmware/devicetree/base).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import pytest

from tests.boards.emulated_board import EmulatedBoard
from tests.boards.kinds import KINDS
from tests.boards.proot_board import ProotBoard
from tests.boards.readiness import why_no_proot, why_no_vm, why_not
from tests.boards.vm_board import VmBoard

REQUIRED = "SLMDEPLOY_REQUIRE_BOARDS"
PROOT = "SLMDEPLOY_BOARDS_PROOT"


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
    need(why_not() or why_no_vm())
    board = VmBoard()
    try:
        board.boot()
        yield board
    finally:
        board.down()


@pytest.fixture
def own_board() -> Iterator[OwnBoard]:
    """Makes boards of the test's own, to break; they are removed after it."""
    need(why_not())
    with contextlib.ExitStack() as made:

        def make(kind: str, **how: Any) -> EmulatedBoard:
            board = EmulatedBoard(KINDS[kind], **how)
            made.callback(board.down)
            board.boot()
            return board

        yield make


def _shared(kind: str) -> Iterator[EmulatedBoard]:
    """Where namespaces are forbidden, a lesser board does for tests that leave it whole."""
    proot = _falls_back_on_proot()
    board = ProotBoard(KINDS[kind]) if proot else _made(kind, {})
    try:
        board.boot()
        yield board
    finally:
        board.down()


def _made(kind: str, how: Mapping[str, Any]) -> EmulatedBoard:
    need(why_not())
    return EmulatedBoard(KINDS[kind], **how)


def _falls_back_on_proot() -> bool:
    if os.environ.get(PROOT) == "1":
        need(why_no_proot())
        return True
    return os.environ.get(REQUIRED) != "1" and why_not() is not None and why_no_proot() is None


@contextlib.contextmanager
def running_board(kind: str, **how: Any) -> Iterator[EmulatedBoard]:
    """A fresh board, as ``own_board`` gives it, for a fixture of another scope."""
    board = _made(kind, how)
    try:
        board.boot()
        yield board
    finally:
        board.down()


def need(reason: str | None) -> None:
    """Skip the test for a reason, or fail it where boards are required."""
    if reason is not None and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but {reason}")
    if reason is not None:
        pytest.skip(reason)
