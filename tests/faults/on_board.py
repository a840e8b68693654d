"""What lies on a board: whole deployments, half ones, what is being sent."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from slmdeploy.device.connect import connect
from slmdeploy.device.types import Device
from tests.boards.emulated_board import EmulatedBoard
from tests.faults.commands import Running

# Of each deployment, and of the blobs: path, mode and sha256 of every file, read from the disk.
_LOOK = r"""
import glob, hashlib, json, os, sys
os.chdir(os.path.expanduser("~/.slmdeploy"))
def files(folder):
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            yield os.path.relpath(path, folder), os.stat(path).st_mode & 0o7777, digest
folders = [f for f in glob.glob("bundles/*/*") + glob.glob("runtimes/*/*") if os.path.isdir(f)]
print(json.dumps({
    "folders": {folder: sorted(files(folder)) for folder in folders},
    "blobs": sorted(row for row in files("blobs") if len(row[0]) == 64),
    "incoming": {row[0]: os.path.getsize("incoming/" + row[0]) for row in files("incoming")},
}))
"""


# What was written within a minute may still be sent by somebody.
LONG_AGO = ("touch", "-d", "5 minutes ago", "{}", "+")


def say(device: Device, *argv: str) -> str:
    """What a command prints on a device; it must end well."""
    with closing(connect(device)) as transport:
        return transport.check(list(argv)).stdout.strip()


def looked_at(device: Device) -> dict[str, Any]:
    """Every file below our folder, as it is on the disk."""
    found: dict[str, Any] = json.loads(say(device, "python3", "-c", _LOOK))
    return found


def deployments(device: Device) -> set[str]:
    """The places of all deployments; each must be whole, and so must each blob.

    The last part of a place is the digest of its files' names, modes and contents, so a folder
    that lacks a file or has a wrong one cannot go by that name.
    """
    found = looked_at(device)
    whole = set()
    for place, files in found["folders"].items():
        if ".part-" in place:
            continue
        listing = "".join(f"{sha} {mode:o} {path}\n" for path, mode, sha in files)
        digest = hashlib.sha256(listing.encode()).hexdigest()[:12]
        assert digest == place.rpartition("/")[2], f"{place} is not whole: {files}"
        whole.add(place)
    assert [name for name, _, sha in found["blobs"] if name != sha] == [], "a blob is not whole"
    return whole


def bundles(device: Device) -> set[str]:
    """The deployed bundles alone."""
    return {place for place in deployments(device) if place.startswith("bundles/")}


def left_over(device: Device) -> list[str]:
    """Files that were being sent, and folders that are half made."""
    found = looked_at(device)
    parts = [
        f"{path}: {size} bytes"
        for path, size in found["incoming"].items()
        # The disk may have kept the name of a file alone: that is swept away a day later.
        if size and len(path.rpartition("/")[2]) == 64
    ]
    return [*parts, *(place for place in found["folders"] if ".part-" in place)]


def incoming_bytes(board: EmulatedBoard) -> int:
    """How much of what is being sent lies on the board now, seen from outside."""
    folder = board.host_path(f"{board.user_home}/.slmdeploy/incoming")
    return sum(_size(path) for path in folder.glob("**/*"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # it was there a moment ago


class Held:
    """A tool of the board that stands still at the first call that touches some path.

    Args:
        board: Whose.
        tool: As in ``mv``.
        words: Part of the call's words.
    """

    def __init__(self, board: EmulatedBoard, tool: str, words: str) -> None:
        self._board = board
        self._place = f"/usr/local/bin/{tool}"
        script = f'#!/bin/sh\ncase "$*" in *"{words}"*) : >/tmp/held; sleep 600 ;; esac\n'
        script += f'exec /bin/{tool} "$@"\n'
        argv = ["sh", "-c", 'mkdir -p "${1%/*}"; cat >"$1"; chmod 755 "$1"', "sh", self._place]
        board.root(argv, stdin=script.encode())

    def is_reached(self) -> bool:
        return self._board.host_path("/tmp/held").exists()  # noqa: S108

    def let_go(self) -> None:
        """From now on the tool works as before."""
        self._board.root(["rm", "-f", self._place])


def hold_run(board: EmulatedBoard, command: Running) -> int:
    """Stop the runner that a command starts on the board: it is in the middle from then on.

    Returns:
        Its number on this computer; SIGCONT lets it go on.
    """
    found: list[int] = []

    def stopped() -> bool:
        found.extend(_runners(board))
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        return bool(found)

    command.wait_until(stopped)
    return found[0]


def _runners(board: EmulatedBoard) -> Iterator[int]:
    """Processes of the board that are the runner."""
    space = Path(f"/proc/{board._running()}/ns/pid").readlink()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text() != "slmd-runner\n":
                continue
            if (process / "ns/pid").readlink() == space:
                yield int(process.name)
