"""Our private keys: those in files, those that the agent holds, those behind a passphrase."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
from paramiko.pkey import UnknownKeyType
from paramiko.ssh_exception import SSHException

from slmdeploy.errors import AuthError
from slmdeploy.transport.prompt import Secret, ask_secret
from slmdeploy.transport.ssh.config import SshTarget

__all__ = ["Keys", "our_keys", "public_half", "unlocked"]

TRIES = 3
OPENSSH_BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----"
OPENSSH_END = "-----END OPENSSH PRIVATE KEY-----"
OPENSSH_MAGIC = b"openssh-key-v1\0"

# Opened by a passphrase in this process, so that a lost connection does not ask again.
_OPENED: dict[Path, paramiko.PKey] = {}


@dataclass
class Keys:
    """What we have, in the order in which it is shown to a server.

    Attributes:
        ready: Keys that can be used at once, each with a name for messages.
        locked: Files that need a passphrase.
    """

    ready: list[tuple[str, paramiko.PKey]] = field(default_factory=list)
    locked: list[Path] = field(default_factory=list)


@contextmanager
def our_keys(target: SshTarget) -> Iterator[Keys]:
    """Keys for a server: named files, the agent's, the usual files.

    The agent signs for its keys, so they are good inside the block alone.

    Raises:
        AuthError: A file that the inventory names is not there or is no key.
    """
    keys, usual = Keys(), Keys()
    if target.identity_file is not None:
        _add_file(keys, target.identity_file)
    for file in target.usual_files:
        if file.is_file():
            with suppress(AuthError):  # one that cannot be used is passed over, as ssh does
                _add_file(usual, file)
    agent = paramiko.Agent()
    try:
        locked = [*keys.locked, *usual.locked]
        held = _agent_keys(agent, locked, only=target.identities_only)
        yield Keys([*keys.ready, *held, *usual.ready], locked)
    finally:
        agent.close()


def unlocked(file: Path) -> paramiko.PKey | None:
    """A key behind a passphrase, which is asked for; ``None`` if nobody can be asked.

    Raises:
        AuthError: The passphrase was wrong three times.
    """
    if file in _OPENED:
        return _OPENED[file]
    for _ in range(TRIES):
        passphrase = ask_secret(f"Passphrase of the private key {file}: ")
        if passphrase is None:
            return None
        key = _opened(file, passphrase)
        if key is not None:
            _OPENED[file] = key
            return key
    raise AuthError(
        f"The passphrase of the private key {file} was wrong {TRIES} times.",
        hint=f"Let the agent hold the key. Run: ssh-add {file}",
    )


def public_half(file: Path) -> bytes | None:
    """The public key of a private key's file, which no passphrase hides.

    It stands in the file itself (OpenSSH's own format, PROTOCOL.key) or beside it.
    """
    try:
        text = file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    if text.startswith(OPENSSH_BEGIN):
        return _openssh_public(text)
    beside = file.with_name(f"{file.name}.pub")
    try:
        return base64.b64decode(beside.read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _agent_keys(
    agent: paramiko.Agent, locked: list[Path], *, only: bool
) -> list[tuple[str, paramiko.PKey]]:
    """The agent's keys: those of our locked files first, and with ``only`` no others."""
    named = {half for file in locked if (half := public_half(file)) is not None}
    held = [(f"agent key {key.fingerprint}", key) for key in agent.get_keys()]
    if only:
        return [(label, key) for label, key in held if key.asbytes() in named]
    return sorted(held, key=lambda entry: entry[1].asbytes() not in named)


def _add_file(keys: Keys, file: Path) -> None:
    try:
        keys.ready.append((str(file), paramiko.PKey.from_path(file)))
    except (TypeError, paramiko.PasswordRequiredException):
        # cryptography tells an encrypted key by a TypeError: a password was expected.
        keys.locked.append(file)
    except OSError as error:
        raise AuthError(
            f"The identity file {file} cannot be read: {error.strerror or error}.",
            hint="Look at identity_file in devices.toml.",
        ) from error
    except (ValueError, UnknownKeyType, SSHException) as error:
        raise AuthError(
            f"The identity file {file} is not a private key that can be used.",
            hint="Make one with: ssh-keygen -t ed25519",
        ) from error


def _opened(file: Path, passphrase: Secret) -> paramiko.PKey | None:
    given: Any = passphrase.text.encode()  # typed as text, but cryptography wants bytes
    try:
        return paramiko.PKey.from_path(file, given)
    except (ValueError, TypeError, SSHException):
        return None


def _openssh_public(text: str) -> bytes | None:
    body = text.removeprefix(OPENSSH_BEGIN).partition(OPENSSH_END)[0]
    try:
        data = base64.b64decode("".join(body.split()))
    except (ValueError, binascii.Error):
        return None
    if not data.startswith(OPENSSH_MAGIC):
        return None
    message = paramiko.Message(data.removeprefix(OPENSSH_MAGIC))
    for _ in ("cipher", "key derivation", "its options"):
        message.get_string()
    message.get_int()  # how many keys; one
    return message.get_string()
