"""What the runner says: one JSON object a line, and how it ends when something is wrong."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

__all__ = [
    "BROKE",
    "FAULT",
    "REFUSED",
    "UNLOADABLE",
    "Failure",
    "now_ns",
    "say",
]

REFUSED = 2
"""The request is wrong."""
UNLOADABLE = 3
"""The artifact, or the runtime, cannot be loaded here."""
BROKE = 4
"""It failed while running."""
FAULT = 70
"""A fault of the runner itself."""

_NOBODY_READS = 141


class Failure(Exception):  # noqa: N818 - the protocol's word
    """Ends the runner with an ``error`` event.

    Args:
        exit_code: One of the constants of this module.
        cause: Its name in ``docs/runner-protocol.md``.
        message: What was wrong, with the value.
        hint: What to do.
        code: Number of the system's error.
    """

    def __init__(
        self,
        exit_code: int,
        cause: str,
        message: str,
        hint: str | None = None,
        code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.event = {"cause": cause, "message": message, "hint": hint, "code": code}


def now_ns() -> int:
    """Nanoseconds of CLOCK_MONOTONIC."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def say(event: str, **keys: Any) -> None:
    """Write an event and flush it; when nobody reads any more the process just ends."""
    line = json.dumps({"event": event, **keys}, allow_nan=False, separators=(",", ":"))
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except OSError:
        os._exit(_NOBODY_READS)
