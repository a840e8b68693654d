"""``slmdeploy`` at a terminal of its own, driven by a test."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SECONDS = 60.0

# Standard input becomes the terminal that Ctrl-C and /dev/tty belong to.
PROGRAM = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from slmdeploy.cli import main
sys.argv[0] = "slmdeploy"
sys.exit(main())
"""


class AtTerminal:
    """The program, what it shows and what is typed.

    Attributes:
        process: The program.
        shown: All that it has shown so far.
    """

    def __init__(self, words: tuple[str, ...], folder: Path, env: Mapping[str, str]) -> None:
        self.shown = ""
        self._looked = 0
        self._ours, self._theirs = pty.openpty()
        self.resize(80, 24)
        self.before = self.settings()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            cwd=folder,
            env={**os.environ, "TERM": "dumb", **env},
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
        )

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until it shows something new that matches."""
        deadline = time.monotonic() + SECONDS
        while (found := re.compile(pattern).search(self.shown, self._looked)) is None:
            goes_on = self.process.poll() is None and time.monotonic() < deadline
            if select.select([self._ours], [], [], 0.05 if goes_on else 0)[0]:
                self.shown += os.read(self._ours, 65536).decode("utf-8", "replace")
            else:
                assert goes_on, f"{pattern!r} did not come; it showed:\n{self.shown}"
        self._looked = found.end()
        return found

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        packed = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, packed)

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self._theirs)

    def code(self) -> int:
        """Its exit code, when it has ended; what it shows meanwhile is taken."""
        deadline = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on; it showed:\n{self.shown}"
            if select.select([self._ours], [], [], 0.05)[0]:
                self.shown += os.read(self._ours, 65536).decode("utf-8", "replace")
        while select.select([self._ours], [], [], 0)[0]:
            self.shown += os.read(self._ours, 65536).decode("utf-8", "replace")
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@contextlib.contextmanager
def at_terminal(folder: Path, *words: object, **env: str) -> Iterator[AtTerminal]:
    """Run ``slmdeploy`` with these words in a folder, at a terminal of 80 by 24.

    Args:
        folder: The current folder; also the user's home, configuration and caches.
        words: The command line.
        env: Variables besides.
    """
    places = {f"SLMDEPLOY_{kind}_DIR": str(folder / kind) for kind in ("CACHE", "CONFIG", "STATE")}
    alone = {"HOME": str(folder), "SLMDEPLOY_PROMPT": "", "SSH_AUTH_SOCK": ""}
    it = AtTerminal(tuple(map(str, words)), folder, {**places, **alone, **env})
    try:
        yield it
    finally:
        it.close()
