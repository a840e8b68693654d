"""Who we are, as a board notes it for the next one who comes."""

from __future__ import annotations

import getpass
import os
import platform

__all__ = ["owner_name"]


def owner_name() -> str:
    """User, host and process, as in ``lab@bench-3 (process 4711)``; one line."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        user = str(os.getuid())
    return f"{user}@{platform.node()} (process {os.getpid()})"
