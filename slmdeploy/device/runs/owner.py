"""Who we are, as a board notes it for the next one who comes."""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import re
import sys
from pathlib import Path

__all__ = ["command_name", "has_ended", "host_mark", "owner_name"]

_PROCESS = re.compile(r"(.*) \(process (\d+)\)")
_PASSWORD = re.compile(r"(://[^\s/@:]*:)[^\s@]*@")
_SHOWN = 200


def command_name() -> str:
    """The command that runs here, as in ``slmdeploy bench bundles/a``; one short line.

    Whoever uses the board can read it, so the password of a URL (``--store``) is left out,
    and so is what holds blanks: a prompt.
    """
    name = Path(sys.argv[0]).name if sys.argv else "slmdeploy"
    words = ("..." if len(word.split()) > 1 else word.strip() for word in sys.argv[1:])
    text = " ".join(_PASSWORD.sub(r"\1***@", word) for word in (name, *words))
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def owner_name() -> str:
    """User, host and process, as in ``lab@bench-3 (process 4711)``; one line."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        user = str(os.getuid())
    return f"{user}@{platform.node()} (process {os.getpid()})"


def host_mark() -> str:
    """Tells apart computers, and containers, where process numbers mean something else.

    Made of the boot's id and of the namespace of process numbers (Linux).
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        marks = boot + os.readlink("/proc/self/ns/pid")  # noqa: PTH115  not a path
    except OSError:  # not Linux
        marks = platform.node()
    return hashlib.sha256(marks.encode()).hexdigest()[:12]


def has_ended(owner: str) -> bool:
    """Whether an ``owner_name`` is that of a process of this user and computer that has ended.

    Ask only of owners with our ``host_mark``: names of computers are not unique.
    """
    ours, theirs = _PROCESS.fullmatch(owner_name()), _PROCESS.fullmatch(owner)
    if ours is None or theirs is None or ours[1] != theirs[1]:
        return False
    try:
        os.kill(int(theirs[2]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    return False
