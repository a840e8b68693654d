"""Which host keys a server offers, before anything about it is trusted."""

from __future__ import annotations

from collections.abc import Iterator

from paramiko import PKey
from paramiko.ssh_exception import IncompatiblePeer

from slmdeploy.errors import ConnectError
from slmdeploy.transport.ssh.config import SshTarget
from slmdeploy.transport.ssh.hostkeys import KnownKeys, algorithms_first
from slmdeploy.transport.ssh.session import greeted_session

__all__ = ["offered_key", "offered_keys"]

KINDS = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)


def offered_key(target: SshTarget, known: KnownKeys, timeout: float | None = None) -> PKey:
    """The host key that a server shows: of a kind that is known, else Ed25519 if it has one.

    Nobody has checked it, and nothing was sent to the server. Jump hosts on the way are
    checked and logged into as ever.

    Raises:
        ConnectError: Away, refused, or no answer in time.
    """
    with greeted_session(target, timeout, lambda ours: algorithms_first(known, ours)) as session:
        key = session.get_remote_server_key()
        session.close()
    return key


def offered_keys(target: SshTarget, timeout: float | None = None) -> Iterator[PKey]:
    """Every host key that a server has, the preferred kind first; a connection each."""
    for kinds in KINDS:
        try:
            with greeted_session(target, timeout, lambda _, kinds=kinds: kinds) as session:  # type: ignore[misc]
                key = session.get_remote_server_key()
                session.close()
        except ConnectError as error:
            if not isinstance(error.__cause__, IncompatiblePeer):
                raise
            continue
        yield key
