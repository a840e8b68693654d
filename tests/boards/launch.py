"""Start a board's first process in namespaces of its own, and come to know its number."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.boards.places import BoardError
from tests.boards.slots import Slot

HERE = Path(__file__).resolve().parent
NAMESPACES = ("--net", "--mount", "--pid", "--uts", "--ipc")
START_SECONDS = 30.0


def launch(
    slot: Slot, command: Sequence[str], *, persistent: bool
) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command as process 1 of a new computer.

    Args:
        slot: Its place; the console goes to a file there.
        command: What to run, with the arguments after its folder.
        persistent: It outlives this process, and holds its place itself.

    Returns:
        Who ends it when its input is closed, and the number of the first process.

    Raises:
        BoardError: It did not start.
    """
    read, low = os.pipe()
    # Above what a shell can redirect to; the board finds it as descriptor 3.
    write = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(low)
    try:
        supervisor = _supervise(slot, command, write, persistent=persistent)
        os.close(write)
        said = os.read(read, 32) if select.select([read], [], [], START_SECONDS)[0] else b""
    finally:
        os.close(read)
    if not said.strip().isdigit():
        if supervisor.stdin is not None:
            supervisor.stdin.close()
        console = (slot.folder / "console.log").read_text(errors="replace")
        raise BoardError(f"the board does not start:\n{console[-3000:]}")
    return supervisor, int(said)


def enter(pid: int) -> list[str]:
    """The command that runs another one in the namespaces of a process."""
    spaces = [*NAMESPACES, "--time"] if has_clocks() else [*NAMESPACES]
    return ["nsenter", f"--target={pid}", *spaces, "--root", "--wd"]


def has_clocks() -> bool:
    """Whether the kernel can let time since boot start anew (a time namespace)."""
    return Path("/proc/self/ns/time").exists()


def _supervise(
    slot: Slot, command: Sequence[str], pid_pipe: int, *, persistent: bool
) -> subprocess.Popen[bytes]:
    new = ["unshare", *NAMESPACES, "--propagation=private", *_fresh_clock(), "--fork"]
    supervise = ["sh", str(HERE / "supervisor.sh"), str(slot.folder), str(slot.memory_group or "")]
    shell = ["bash", "-c", f'exec "$@" 3>&{pid_pipe} {pid_pipe}>&-', "bash"]
    with (slot.folder / "console.log").open("ab") as console:
        return subprocess.Popen(
            [*shell, *supervise, *new, "--kill-child", *command],
            stdin=_fifo(slot) if persistent else subprocess.PIPE,
            stdout=console,
            stderr=console,
            # A board that stays takes the lock of its place with it.
            pass_fds=(pid_pipe, slot.lock) if persistent else (pid_pipe,),
            start_new_session=True,
        )


def _fifo(slot: Slot) -> int:
    """An input that does not end while it is read."""
    fifo = slot.folder / "life-line"
    if not fifo.exists():
        os.mkfifo(fifo)
    return os.open(fifo, os.O_RDWR)


def _fresh_clock() -> list[str]:
    if not has_clocks():
        return []
    monotonic = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 10**9
    boottime = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 10**9
    return ["--time", f"--monotonic=-{monotonic}", f"--boottime=-{boottime}"]
