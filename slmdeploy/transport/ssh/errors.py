"""The seam between paramiko and us: each of its errors becomes one of ours.

Every class of ``paramiko.ssh_exception`` stands in the table; a test holds that.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import paramiko
from paramiko import ssh_exception as theirs
from paramiko.hostkeys import InvalidHostKey
from paramiko.pkey import UnknownKeyType

from slmdeploy.errors import (
    AuthError,
    ConnectError,
    HostKeyError,
    ProfileError,
    SlmdeployError,
    TransferError,
)

__all__ = ["TABLE", "mapped_errors", "translate"]

# Class of the error, our class, what happened, what to do. ``None`` as what happened:
# the error's own words.
Row = tuple[type[SlmdeployError], str | None, str | None]

AWAY_HINT = "Is it switched on, and are host and port right? See: slmdeploy devices list"
KEY_HINT = "Give its identity_file in devices.toml, or run: ssh-add KEY"

TABLE: dict[type[Exception], Row] = {
    theirs.BadHostKeyException: (
        HostKeyError,
        "its host key is not the one that is known",
        "Do not go on before you know why. See docs/devices.md.",
    ),
    InvalidHostKey: (HostKeyError, "the known host key is not a key", "Look at host_key."),
    theirs.PasswordRequiredException: (
        AuthError,
        "the private key is protected by a passphrase",
        "Let the agent hold it. Run: ssh-add KEY",
    ),
    theirs.BadAuthenticationType: (
        AuthError,
        "it does not take keys",
        "Enable PubkeyAuthentication.",
    ),
    theirs.PartialAuthentication: (
        AuthError,
        "it wants more than a key",
        "Allow a key alone (AuthenticationMethods publickey) for this user.",
    ),
    theirs.UnableToAuthenticate: (AuthError, "it accepted none of our keys", KEY_HINT),
    theirs.AuthenticationException: (AuthError, "it did not accept our key", KEY_HINT),
    UnknownKeyType: (AuthError, "the private key is of an unknown type", "Use an Ed25519 key."),
    theirs.ChannelException: (
        ConnectError,
        "it refused another session on this connection",
        "Raise MaxSessions in its sshd_config, or look whether its memory is full.",
    ),
    theirs.IncompatiblePeer: (
        ConnectError,
        "its SSH server knows none of our algorithms",
        "Update the SSH server of the device.",
    ),
    theirs.MessageOrderError: (
        ConnectError,
        "messages came in a wrong order, as if somebody changed the connection",
        "Do not go on before you know why.",
    ),
    theirs.ProxyCommandFailure: (ConnectError, None, "Look at ProxyCommand in ~/.ssh/config."),
    theirs.CouldNotCanonicalize: (ConnectError, "its host name has no full form", AWAY_HINT),
    theirs.ConfigParseError: (ProfileError, None, "Look at ~/.ssh/config."),
    theirs.NoValidConnectionsError: (ConnectError, "nothing answers at its address", AWAY_HINT),
    theirs.SSHException: (ConnectError, None, AWAY_HINT),
    paramiko.SFTPError: (TransferError, None, "Look whether its disk is full or read-only."),
    socket.gaierror: (ConnectError, "its host name is unknown here", "Look at host."),
    ConnectionRefusedError: (
        ConnectError,
        "nothing listens at this port",
        "Is sshd running there, and is the port right?",
    ),
    TimeoutError: (ConnectError, "it did not answer in time", AWAY_HINT),
    EOFError: (ConnectError, "the connection was lost", AWAY_HINT),
    OSError: (ConnectError, None, AWAY_HINT),
}


def translate(error: Exception, where: str, doing: str) -> SlmdeployError | None:
    """Our error for one of paramiko's or a socket's; ``None`` for any other.

    Args:
        error: What was raised.
        where: The device, for the message.
        doing: What was tried, as in ``connect``.
    """
    for kind in type(error).__mro__:
        if kind in TABLE:
            ours, what, hint = TABLE[kind]
            said = what or getattr(error, "strerror", None) or str(error) or kind.__name__
            return ours(f"Could not {doing} {where}: {said.rstrip('.')}.", hint=hint)
    return None


@contextlib.contextmanager
def mapped_errors(
    where: str, doing: str, *, alive: Callable[[], bool] | None = None
) -> Iterator[None]:
    """Turn what paramiko or a socket raises inside the block into our errors.

    Args:
        where: The device, for the message.
        doing: What is tried, as in ``connect``.
        alive: For transfers of files: whether the connection still stands. If it does,
            an ``OSError`` is the device's answer about a file, and a TransferError.
    """
    try:
        yield
    except SlmdeployError:
        raise
    except Exception as error:
        if alive is not None and isinstance(error, OSError | EOFError | theirs.SSHException):
            lost = not alive() or isinstance(error, EOFError | ConnectionError) or _closed(error)
            raise _transfer_error(error, where, doing, lost=lost) from error
        ours = translate(error, where, doing)
        if ours is None:
            raise
        raise ours from error


def _transfer_error(error: Exception, where: str, doing: str, *, lost: bool) -> SlmdeployError:
    if lost:
        return ConnectError(
            f"Could not {doing} {where}: the connection was lost.",
            hint="The file that was there is untouched. Run the same command again.",
        )
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    # SFTP version 3 has one word, "Failure", for a full disk and much else.
    hint = "Look whether its disk is full or read-only." if said == "Failure" else None
    return TransferError(f"Could not {doing} {where}: {said.rstrip('.')}.", hint=hint)


def _closed(error: Exception) -> bool:
    """Whether paramiko says that a channel is closed; it may know before the connection does."""
    return str(error).startswith(("Socket is closed", "Server connection dropped"))
