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
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.boards.places import BoardError, run_folder

# 198.18.0.0/15 is set aside for tests of networks (RFC 2544), four addresses a board.
NETWORK = "198.18"
SLOTS = 2048
_HOLDERS = (b"unshare", b"sh", b"qemu-system-aarch64")
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
        """The control group of its processes; None where this computer limits no memory."""
        if (MEMORY_V1 / "memory.limit_in_bytes").exists():
            return MEMORY_V1 / f"slmdeploy-{self.number}"
        controllers = MEMORY_V2 / "cgroup.controllers"
        if controllers.exists() and "memory" in controllers.read_text():
            return MEMORY_V2 / f"slmdeploy-{self.number}"
        return None

    def clear(self) -> None:
        """End what runs here, and remove what is left of it."""
        for pid in _processes_of(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for device in (self.cable, self.bridge):
            if Path(f"/sys/class/net/{device}").exists():
                argv = ["ip", "link", "del", device]
                subprocess.run(argv, check=False, capture_output=True)
        group = self.memory_group
        if group is not None and group.exists():
            with contextlib.suppress(OSError):
                group.rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

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
    lock = os.open(run_folder() / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return Slot(number, lock)


def _processes_of(folder: Path) -> Iterator[int]:
    """Processes that hold a board together: they have its folder as an argument."""
    wanted = os.fsencode(folder)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            named = any(word == wanted or wanted + b"/" in word for word in arguments)
            if named and arguments[0] in _HOLDERS:
                yield int(entry.name)
