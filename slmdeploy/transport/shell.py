"""Give the terminal to a command on a device: what some transports can do besides."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from slmdeploy.transport.terminal import lent_terminal

__all__ = ["Interactive", "exit_code", "has_terminal", "run_here"]

STDIN, STDOUT = 0, 1


@runtime_checkable
class Interactive(Protocol):
    """A transport that can hand over standard input, output and error."""

    def interactive(self, argv: Sequence[str]) -> int:
        """Run a command on the device in our place, on a terminal of its own if we have one.

        Returns:
            Its exit code; 128 and the number for a signal, as shells have it.
        """


def has_terminal() -> bool:
    """Whether standard input and output are a terminal."""
    return os.isatty(STDIN) and os.isatty(STDOUT)


def exit_code(code: int) -> int:
    """The code of a process as shells tell it; ``-9`` is a signal and becomes 137."""
    return code if code >= 0 else 128 - code


def run_here(argv: Sequence[str]) -> int:
    """Run a command of this computer on our own terminal; as ``Interactive.interactive``."""
    sys.stdout.flush()
    with lent_terminal(STDIN):
        return exit_code(subprocess.run(list(argv), check=False).returncode)
