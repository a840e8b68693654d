"""Who we are to a device: a key file, or what the agent holds. Never a password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import paramiko
from paramiko.pkey import UnknownKeyType
from paramiko.ssh_exception import AuthenticationException, BadAuthenticationType, SSHException

from slmdeploy.errors import AuthError
from slmdeploy.transport.endpoint import Endpoint

__all__ = ["authenticate"]

USUAL_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")


def authenticate(transport: paramiko.Transport, endpoint: Endpoint, user: str) -> None:
    """Log in with the first of our keys that the device takes.

    In order: the identity file, the agent's keys, and if no identity file was given,
    the usual ones in ``~/.ssh``.

    Raises:
        AuthError: It takes none of them, or a key cannot be used.
    """
    locked: list[Path] = []
    tried: list[str] = []
    for label, key in _keys(endpoint, locked):
        tried.append(label)
        try:
            further = transport.auth_publickey(user, key)
        except BadAuthenticationType:
            raise
        except AuthenticationException as error:
            if not transport.is_active():
                raise _too_many(endpoint, tried) from error
            continue
        except SSHException as error:
            if transport.is_active():
                raise
            raise _too_many(endpoint, tried) from error
        if further:
            raise AuthError(
                f"{endpoint.name} wants more than a key: {', '.join(further)}.",
                hint="Allow a key alone (AuthenticationMethods publickey) for this user.",
            )
        return
    raise _refused(endpoint, user, tried, locked)


def _keys(endpoint: Endpoint, locked: list[Path]) -> Iterator[tuple[str, paramiko.PKey]]:
    """Each key with a name for messages; files that need a passphrase go to ``locked``."""
    given = endpoint.identity_file
    if given is not None:
        yield from _from_file(given, locked, must_exist=True)
    agent = paramiko.Agent()
    try:
        for key in agent.get_keys():
            yield f"agent key {key.fingerprint}", key
    finally:
        agent.close()
    if given is None:
        for name in USUAL_NAMES:
            yield from _from_file(Path.home() / ".ssh" / name, locked, must_exist=False)


def _from_file(
    file: Path, locked: list[Path], *, must_exist: bool
) -> Iterator[tuple[str, paramiko.PKey]]:
    if not file.is_file() and not must_exist:
        return
    try:
        key = paramiko.PKey.from_path(file)
    except (TypeError, paramiko.PasswordRequiredException):
        # cryptography tells an encrypted key by a TypeError: a password was expected.
        locked.append(file)
        return
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
    yield str(file), key


def _too_many(endpoint: Endpoint, tried: list[str]) -> AuthError:
    return AuthError(
        f"{endpoint.name} hung up after {len(tried)} of our keys: {', '.join(tried)}.",
        hint="Name the right one: identity_file in devices.toml.",
    )


def _refused(endpoint: Endpoint, user: str, tried: list[str], locked: list[Path]) -> AuthError:
    if locked:
        return AuthError(
            f"The private key {locked[0]} is protected by a passphrase, and the agent holds "
            f"no key that {endpoint.name} accepts.",
            hint=f"Let the agent hold it. Run: ssh-add {locked[0]}",
        )
    port = f" -p {endpoint.port}" if endpoint.port else ""
    listed = ", ".join(tried) or "there is none: no identity_file, no agent, none in ~/.ssh"
    return AuthError(
        f"{endpoint.name} accepted none of our keys for the user {user!r} ({listed}).",
        hint=f"Run: ssh-copy-id{port} {user}@{endpoint.host}",
    )
