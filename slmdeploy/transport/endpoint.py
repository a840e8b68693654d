"""Where a device is: what a transport needs to reach it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Endpoint"]


@dataclass(frozen=True)
class Endpoint:
    """Where a device is and how it is recognized.

    Attributes:
        name: Name of the device, for messages.
        host: Host name or address; a folder for the fake; unused by ``local``.
        port: TCP port; ``None`` for the transport's own (22 for SSH).
        user: Name to log in with; ``None`` for the one of this computer.
        identity_file: Private key; ``None`` for the agent and the usual ones.
        host_key: Pinned host key, as in ``ssh-ed25519 AAAA...``; ``None`` to look
            it up in the user's ``known_hosts``.
    """

    name: str
    host: str | None = None
    port: int | None = None
    user: str | None = None
    identity_file: Path | None = None
    host_key: str | None = None
