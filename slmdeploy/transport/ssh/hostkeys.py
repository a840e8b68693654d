"""Host keys: which ones are known for a device, and whether the offered one is among them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paramiko import HostKeys, PKey, SSHException
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

from slmdeploy.errors import HostKeyError
from slmdeploy.transport.ssh.config import SSH_PORT, SshTarget

__all__ = [
    "KnownKeys",
    "algorithms_first",
    "changed_key",
    "check_host_key",
    "described",
    "key_line",
    "key_of",
    "known_keys",
    "unknown_key",
]


@dataclass(frozen=True)
class KnownKeys:
    """The host keys that are trusted for a server, and where they stand."""

    keys: tuple[PKey, ...]
    source: str


def known_keys(target: SshTarget) -> KnownKeys:
    """The pinned key of the inventory if there is one, else those of ``known_hosts``.

    Raises:
        HostKeyError: The pinned key is not a key.
    """
    if target.host_key is not None:
        return KnownKeys((_pinned(target, target.host_key),), "the inventory")
    name = target.known_name
    trusted: list[PKey] = []
    revoked: list[PKey] = []
    sources: list[str] = []
    for file in target.known_hosts:
        for line in _lines(file):
            marker, rest = _marked(line)
            entry = _entry(rest)
            # A certificate authority signs keys; it is not one itself.
            if marker == "@cert-authority" or entry is None or not _names(entry, name):
                continue
            (revoked if marker == "@revoked" else trusted).append(entry.key)
            sources.append(str(file))
    found = tuple(key for key in trusted if key not in revoked)
    return KnownKeys(found, " and ".join(dict.fromkeys(sources)) or "known_hosts")


def check_host_key(target: SshTarget, offered: PKey, known: KnownKeys) -> None:
    """Let through only a key that is known.

    Raises:
        HostKeyError: No key is known for the server, or not this one.
    """
    if offered in known.keys:
        return
    if not known.keys:
        raise unknown_key(target, offered)
    raise changed_key(target, offered, known)


def unknown_key(target: SshTarget, offered: PKey) -> HostKeyError:
    """No key is known for a server: which one it offers, and how it gets known."""
    compare = (
        "Compare it with what the machine itself says "
        "(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)"
    )
    trust = (
        f"connect to it once with: ssh {_ssh_words(target)}"
        if target.is_jump
        else f"run: slmdeploy devices trust {target.name}"
    )
    return HostKeyError(
        f"The host key of {target.where} is not known: {described(offered)}.",
        hint=f"{compare}, then {trust}",
    )


def changed_key(
    target: SshTarget, offered: PKey, known: KnownKeys, *, listed: bool = True
) -> HostKeyError:
    """Another key is known for a server: both, what that may mean, and the way out.

    Args:
        target: The server.
        offered: What it offers.
        known: What is known.
        listed: Whether it is a device of the inventory.
    """
    expected = ", ".join(described(key) for key in known.keys)
    way_out = (
        f"slmdeploy devices trust {target.name} --replace"
        if listed and not target.is_jump
        else f"ssh-keygen -R '{target.known_name}'"
    )
    return HostKeyError(
        f"The host key of {target.where} has changed: it offers {described(offered)}, "
        f"but {known.source} has {expected}.",
        hint=(
            "The machine was set up anew (a re-imaged card), or another machine has its address "
            "now, or somebody stands between. Only if you know that it was set up anew, run: "
            f"{way_out}"
        ),
    )


def described(key: PKey) -> str:
    """Type and fingerprint, as ``ssh-keygen -l`` has them."""
    return f"{key.get_name()} {key.fingerprint}"


def key_line(key: PKey) -> str:
    """Type and key, as in ``ssh-ed25519 AAAA...``."""
    return f"{key.get_name()} {key.get_base64()}"


def key_of(line: str) -> PKey | None:
    """The key of a line of type and key; ``None`` if it is none."""
    entry = _entry(f"x {line}")
    return None if entry is None else entry.key


def algorithms_first(known: KnownKeys, offered: Sequence[str]) -> list[str]:
    """Our list of key algorithms, with those of the known keys first.

    A server with several host keys then shows the one that can be checked.
    """
    types = {key.get_name() for key in known.keys}
    if "ssh-rsa" in types:  # the name of the key; these are its signatures (RFC 8332)
        types |= {"rsa-sha2-512", "rsa-sha2-256"}
    return sorted(offered, key=lambda name: name not in types)


def _pinned(target: SshTarget, text: str) -> PKey:
    key = key_of(text)
    if key is None:
        raise HostKeyError(
            f"The host_key of {target.name} is not a key: {text!r}.",
            hint=f"Run: slmdeploy devices trust {target.name} --replace",
        )
    return key


def _ssh_words(target: SshTarget) -> str:
    return f"{target.user}@{target.host}" + (
        f" -p {target.port}" if target.port != SSH_PORT else ""
    )


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


def _marked(line: str) -> tuple[str, str]:
    """The marker of a line, if it has one, and the rest of it."""
    if not line.startswith("@"):
        return "", line
    marker, *rest = line.split(maxsplit=1)
    return marker, "".join(rest)


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
