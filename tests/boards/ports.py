"""Ports of loopback that nobody else takes meanwhile."""

from __future__ import annotations

import random
import socket
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
FIRST = 10_000


def free_port() -> int:
    """A port that a server can bind now, and again after it was killed.

    Outgoing connections take theirs from the kernel's own range (ip(7)): a port from there
    may be gone when a server comes back.
    """
    last = int(RANGE.read_text().split()[0]) if RANGE.exists() else 32_768
    # Each worker of pytest-xdist begins somewhere else, whatever seed a test has set.
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(FIRST, last)
        with socket.socket() as probe:
            # As sshd does, so that its old connections are no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
