"""Wait until an sshd says its first words, or is gone."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable

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


def wait_for_refusal(
    address: tuple[str, int], *, each_time: Callable[[], object], seconds: float
) -> bool:
    """Tell whether a port refuses connections within some seconds.

    Args:
        address: Host and port.
        each_time: Called before each try.
        seconds: How long at most.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        each_time()
        try:
            socket.create_connection(address, timeout=1.0).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            continue
    return False
