"""Places for running boards, each with a number that decides its address and its folder.

A place is taken by a lock that ends with the process that holds it, so whoever comes next can
tell what a crash has left behind, and clears it away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.boards.places import BoardError, run_folder

# 198.18.0.0/15 is set aside for tests of networks (RFC 2544), four addresses a board.
NETWORK = "198.18"
SLOTS = 2048
CABLE_LAID = "cable-laid"
_HOLDERS = (b"unshare", b"sh", b"qemu-system-aarch64", b"proot")
MEMORY_V1 = Path("/sys/fs/cgroup/memory")
MEMORY_V2 = Path("/sys/fs/cgroup")


class Slot:
    """One place: its folder, addresses, names of its network devices, its memory group.

    Attributes:
        number: Which one.
        folder: Where its files are.
        lock: File descriptor that holds it.
    """

    def __init__(self, number: int, lock: int) -> None:
        self.number = number
        self.lock = lock
        self.folder = run_folder() / str(number)

    @property
    def bridge(self) -> str:
        """The switch that the cable of the board is plugged into."""
        return f"slmb{self.number}"

    @property
    def cable(self) -> str:
        """This computer's end of the cable."""
        return f"slmv{self.number}"

    @property
    def mac(self) -> str:
        """The board's own address on the wire: it stays, over reboots."""
        return f"02:51:4d:00:{self.number >> 8:02x}:{self.number & 255:02x}"

    @property
    def address(self) -> str:
        return self._address(2)

    @property
    def gateway(self) -> str:
        return self._address(1)

    def _address(self, last: int) -> str:
        return f"{NETWORK}.{self.number >> 6}.{(self.number & 63) * 4 + last}"

    @property
    def memory_group(self) -> Path | None:
        """The control group of its processes; None where we may limit no memory."""
        version1 = (MEMORY_V1 / "memory.limit_in_bytes").exists()
        parent = MEMORY_V1 if version1 else MEMORY_V2
        controllers = parent / "cgroup.subtree_control"
        usable = version1 or (controllers.exists() and "memory" in controllers.read_text())
        return (
            parent / f"slmdeploy-{self.number}" if usable and os.access(parent, os.W_OK) else None
        )

    def clear(self) -> None:
        """End what runs here, and remove what is left of it."""
        kill_processes_of(self.folder)
        if (self.folder / CABLE_LAID).exists():
            self._remove_cable()
        group = self.memory_group
        if group is not None and group.exists():
            with contextlib.suppress(OSError):
                group.rmdir()
        if (self.folder / "home").is_mount():
            argv = ["umount", "-l", str(self.folder / "home")]
            subprocess.run(argv, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _remove_cable(self) -> None:
        # Not from /sys: that shows the network of whoever mounted it.
        there = {name for _, name in socket.if_nameindex()}
        for device in {self.cable, self.bridge} & there:
            argv = ["ip", "link", "del", device]
            subprocess.run(argv, check=False, capture_output=True)

    def release(self) -> None:
        """Clear it and let others have it; nothing if that was done."""
        if self.lock >= 0:
            self.clear()
            os.close(self.lock)
            self.lock = -1


def take_slot() -> Slot:
    """The first free place, cleared.

    Raises:
        BoardError: All are taken.
    """
    for number in range(SLOTS):
        slot = _try(number)
        if slot is not None:
            slot.clear()
            slot.folder.mkdir(mode=0o755)
            return slot
    raise BoardError(f"all {SLOTS} places for boards are taken, in {run_folder()}")


def clear_leftovers() -> None:
    """Remove boards whose owner is gone, whatever ended it."""
    for folder in run_folder().iterdir():
        if folder.is_dir() and folder.name.isdigit():
            slot = _try(int(folder.name))
            if slot is not None:
                slot.release()


def taken_slots() -> list[int]:
    """Numbers of the places that somebody holds."""
    found = []
    for folder in sorted(run_folder().iterdir()):
        if folder.is_dir() and folder.name.isdigit():
            slot = _try(int(folder.name))
            if slot is None:
                found.append(int(folder.name))
            else:
                os.close(slot.lock)
    return found


def _try(number: int) -> Slot | None:
    low = os.open(run_folder() / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # Out of the way of the descriptors that shells give a meaning.
    lock = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(low)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return Slot(number, lock)


def kill_processes_of(folder: Path) -> None:
    """End the processes that hold a board together."""
    for pid in _processes_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _processes_of(folder: Path) -> Iterator[int]:
    """They have its folder as an argument, or run a program that lies there."""
    wanted = os.fsencode(folder)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            named = any(word == wanted or wanted + b"/" in word for word in arguments)
            runs = arguments[0].endswith(b"qemu-aarch64-static") and (
                wanted + b"/" in (entry / "maps").read_bytes()
            )
            if runs or (named and arguments[0] in _HOLDERS):
                yield int(entry.name)
