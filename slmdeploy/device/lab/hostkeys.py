"""Which host key a board offers, and who says that it is the right one.

A key is pinned when it was compared: by whoever sits at the terminal, by a fingerprint
that a script brings, or because ``known_hosts`` has it. Nothing else makes it trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from paramiko import PKey

from slmdeploy.device.types import Device
from slmdeploy.errors import HostKeyError, UsageError
from slmdeploy.transport.prompt import ask_yes
from slmdeploy.transport.ssh.config import SshTarget, resolve
from slmdeploy.transport.ssh.hostkeys import (
    changed_key,
    described,
    key_line,
    known_keys,
)
from slmdeploy.transport.ssh.scan import offered_key, offered_keys

__all__ = ["HostKey", "Offer", "Witness", "accepted", "look_at_key"]

FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
COMPARE = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"

Witness = Literal["inventory", "fingerprint", "known_hosts", "answer"]
"""What says that a key is the board's: it was pinned before, ``--fingerprint``,
``known_hosts``, or an answer at the terminal."""


@dataclass(frozen=True)
class HostKey:
    """A public host key.

    Attributes:
        line: Type and key, as in ``ssh-ed25519 AAAA...``.
        fingerprint: As ``ssh-keygen -l`` shows it, ``SHA256:...``.
    """

    line: str
    fingerprint: str

    @property
    def described(self) -> str:
        """Type and fingerprint."""
        return f"{self.line.split()[0]} {self.fingerprint}"


@dataclass(frozen=True)
class Offer:
    """The key that a board offers, beside those that were trusted so far.

    Attributes:
        where: The board, for messages.
        key: What it offers.
        old: The trusted key that it does not offer; ``None`` if there is none.
        witness: What vouches for the key already; ``None`` if somebody must be asked.
        stale: Its name in ``known_hosts`` where that has another key.
    """

    where: str
    key: HostKey
    old: HostKey | None = None
    witness: Witness | None = None
    stale: str | None = None


def look_at_key(
    device: Device, *, fingerprint: str | None = None, replace_old: bool, listed: bool = True
) -> Offer:
    """Connect to a board and look at its host key; nothing is trusted or sent.

    Args:
        device: The board; what it has pinned counts as known.
        fingerprint: The one that the key must have.
        replace_old: Whether another key than the known one may be offered.
        listed: Whether the inventory has the device already.

    Raises:
        UsageError: The fingerprint has not the form ``SHA256:...``.
        HostKeyError: The board offers another key than the known one or the given one.
        ConnectError: It is away, or does not answer.
    """
    target = resolve(replace(device.endpoint, host_key=None))
    in_files = known_keys(target)
    known = known_keys(replace(target, host_key=device.host_key))
    if fingerprint is None:
        key = offered_key(target, known)
    else:
        key = _with_fingerprint(target, fingerprint)
    changed = bool(known.keys) and key not in known.keys
    if changed and not replace_old:
        raise changed_key(target, key, known, listed=listed)
    trusted: Witness = "inventory" if device.host_key else "known_hosts"
    unasked = trusted if known.keys and not changed else None
    return Offer(
        where=target.where,
        key=_host_key(key),
        old=_host_key(known.keys[0]) if changed else None,
        witness=unasked if fingerprint is None else "fingerprint",
        stale=target.known_name if in_files.keys and key not in in_files.keys else None,
    )


def accepted(offer: Offer) -> Witness:
    """Who says that the key is right; asks at the terminal if nobody has yet.

    Args:
        offer: What the board offers.

    Raises:
        HostKeyError: The answer is no, or there is nobody to ask.
    """
    if offer.witness is not None:
        return offer.witness
    answer = ask_yes(_question(offer))
    if answer is None:
        known = f"has changed ({offer.old.described} before)" if offer.old else "is not known"
        raise HostKeyError(
            f"The host key of {offer.where} {known}, and there is no terminal to ask: "
            f"it offers {offer.key.described}.",
            hint=f"On the board, run: {COMPARE}; then here the same command again with "
            "--fingerprint SHA256:...",
        )
    if not answer:
        raise HostKeyError(f"The host key of {offer.where} was not accepted; nothing is changed.")
    return "answer"


def _with_fingerprint(target: SshTarget, fingerprint: str) -> PKey:
    wanted = fingerprint.strip().rstrip("=")
    if not FINGERPRINT.fullmatch(wanted):
        raise UsageError(
            f"{fingerprint!r} is no fingerprint.",
            hint=f"It has the form SHA256:... and 43 letters, as from: {COMPARE}",
        )
    seen = []
    for key in offered_keys(target):
        if key.fingerprint == wanted:
            return key
        seen.append(described(key))
    raise HostKeyError(
        f"{target.where} does not offer the host key {wanted}, but {', '.join(seen) or 'none'}.",
        hint="Another machine may have its address, or somebody stand between. Nothing is changed.",
    )


def _question(offer: Offer) -> str:
    lines = [f"{offer.where} offers this host key:", f"  {offer.key.described}"]
    if offer.old is not None:
        lines += [
            "which is not the one that was trusted:",
            f"  {offer.old.described}",
            "It was set up anew, or another machine has its address, or somebody stands between.",
        ]
    lines += [f"Compare it with what the board itself says: {COMPARE}", "Trust it?"]
    return "\n".join(lines)


def _host_key(key: PKey) -> HostKey:
    return HostKey(key_line(key), str(key.fingerprint))
