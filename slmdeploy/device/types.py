"""What a device is, as the inventory knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slmdeploy.transport.endpoint import Endpoint

__all__ = ["Device"]


@dataclass(frozen=True)
class Device:
    """One board of the lab.

    Attributes:
        name: Its name in the inventory.
        transport: How it is reached: ``ssh``, ``local`` or an installed one.
        host: Host name or address.
        port: TCP port; ``None`` for the transport's own.
        user: Name to log in with; ``None`` for the one of this computer.
        board: Kind of board, the same key that a target profile has (``rpi5``).
        identity_file: Private key; ``None`` for the agent and the usual ones.
        host_key: Pinned host key, as in ``ssh-ed25519 AAAA...``.
        labels: What a selector ``label=value`` asks for.
    """

    name: str
    transport: str = "ssh"
    host: str | None = None
    port: int | None = None
    user: str | None = None
    board: str | None = None
    identity_file: Path | None = None
    host_key: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> Endpoint:
        """What a transport needs to reach it."""
        return Endpoint(
            name=self.name,
            host=self.host,
            port=self.port,
            user=self.user,
            identity_file=self.identity_file,
            host_key=self.host_key,
        )
