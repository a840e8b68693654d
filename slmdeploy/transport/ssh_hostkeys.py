"""Host keys: which ones are known for a device, and whether the offered one is among them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paramiko import HostKeys, PKey, SSHException
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

from slmdeploy.errors import HostKeyError
from slmdeploy.transport.endpoint import Endpoint

__all__ = [
    "SSH_PORT",
    "KnownKeys",
    "algorithms_first",
    "check_host_key",
    "known_keys",
    "known_name",
]

SSH_PORT = 22


@dataclass(frozen=True)
class KnownKeys:
    """The host keys that are trusted for a device, and where they stand."""

    keys: tuple[PKey, ...]
    source: str


def known_name(host: str, port: int) -> str:
    """The name of a server in ``known_hosts``, as in sshd(8): ``[host]:port`` off port 22."""
    return host if port == SSH_PORT else f"[{host}]:{port}"


def known_keys(endpoint: Endpoint, known_hosts: Path) -> KnownKeys:
    """The pinned key of the inventory if there is one, else those of ``known_hosts``.

    Raises:
        HostKeyError: The pinned key is not a key.
    """
    if endpoint.host_key is not None:
        return KnownKeys((_pinned(endpoint, endpoint.host_key),), "the inventory")
    name = known_name(endpoint.host or "", endpoint.port or SSH_PORT)
    trusted: list[PKey] = []
    revoked: list[PKey] = []
    for line in _lines(known_hosts):
        marker, _, rest = line.partition(" ") if line.startswith("@") else ("", "", line)
        keys = revoked if marker == "@revoked" else trusted
        entry = _entry(rest)
        # A certificate authority signs keys; it is not one itself.
        if marker != "@cert-authority" and entry is not None and _names(entry, name):
            keys.append(entry.key)
    return KnownKeys(tuple(key for key in trusted if key not in revoked), str(known_hosts))


def check_host_key(endpoint: Endpoint, offered: PKey, known: KnownKeys) -> None:
    """Let through only a key that is known.

    Raises:
        HostKeyError: No key is known for the device, or not this one.
    """
    if offered in known.keys:
        return
    port = endpoint.port or SSH_PORT
    address = f"{endpoint.host}:{port}"
    if not known.keys:
        raise HostKeyError(
            f"The host key of {endpoint.name} ({address}) is not known: "
            f"{offered.get_name()} {offered.fingerprint}.",
            hint=(
                "Compare it with what the board itself says "
                "(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then add to "
                f'[devices.{endpoint.name}]: host_key = "{_line(offered)}"'
            ),
        )
    expected = ", ".join(f"{key.get_name()} {key.fingerprint}" for key in known.keys)
    raise HostKeyError(
        f"The host key of {endpoint.name} ({address}) has changed: it offers "
        f"{offered.get_name()} {offered.fingerprint}, but {known.source} has {expected}.",
        hint=(
            "The board was set up anew, or another machine has its address, or somebody stands "
            "between. Only if you know it was set up anew: replace host_key in devices.toml, "
            f"or run: ssh-keygen -R '{known_name(endpoint.host or '', port)}'"
        ),
    )


def algorithms_first(known: KnownKeys, offered: Sequence[str]) -> list[str]:
    """Our list of key algorithms, with those of the known keys first.

    A server with several host keys then shows the one that can be checked.
    """
    types = {key.get_name() for key in known.keys}
    if "ssh-rsa" in types:  # the name of the key; these are its signatures (RFC 8332)
        types |= {"rsa-sha2-512", "rsa-sha2-256"}
    return sorted(offered, key=lambda name: name not in types)


def _pinned(endpoint: Endpoint, text: str) -> PKey:
    entry = _entry(f"{endpoint.host} {text}")
    if entry is None:
        raise HostKeyError(
            f"The host_key of {endpoint.name} is not a key: {text!r}.",
            hint="It must be a type and a key, as in: ssh-ed25519 AAAA...",
        )
    return entry.key


def _entry(line: str) -> HostKeyEntry | None:
    try:
        return HostKeyEntry.from_line(line)
    except (InvalidHostKey, SSHException, ValueError):
        return None


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in map(str.strip, text.splitlines()) if line and line[0] != "#"]


def _names(entry: HostKeyEntry, name: str) -> bool:
    patterns = entry.hostnames or []
    if any(p.startswith("!") and _matches(p[1:], name) for p in patterns):
        return False
    return any(_matches(pattern, name) for pattern in patterns)


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        return HostKeys.hash_host(name, pattern) == pattern
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, name, flags=re.IGNORECASE) is not None


def _line(key: PKey) -> str:
    return f"{key.get_name()} {key.get_base64()}"
