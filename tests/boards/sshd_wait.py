"""Wait until an sshd says its first words."""

from __future__ import annotations

import contextlib
import select
import socket
import time

PAUSE_SECONDS = 0.02


def wait_for_banner(address: tuple[str, int], *, ended: int, seconds: float) -> bool:
    """Tell whether sshd answers within some seconds.

    Args:
        address: Host and port.
        ended: A descriptor that can be read when there is nothing more to wait for.
        seconds: How long at most.
    """
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(address, timeout=min(left, 1.0)) as probe,
        ):
            probe.settimeout(left)
            if probe.recv(8).startswith(b"SSH-2.0"):
                return True
        if select.select([ended], [], [], PAUSE_SECONDS)[0]:
            return False
    return False
