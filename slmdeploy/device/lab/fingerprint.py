"""The fingerprint of a host key, as ``ssh-keygen -l`` shows it."""

from __future__ import annotations

import base64
import hashlib

__all__ = ["fingerprint_of"]


def fingerprint_of(line: str | None) -> str | None:
    """``SHA256:...`` of a key as in ``ssh-ed25519 AAAA...``; ``None`` if it is no key.

    The key is base64 and begins with its type, as RFC 4253 section 6.6 has it; the
    fingerprint is base64 without padding of its sha256.
    """
    kind, _, text = (line or "").partition(" ")
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    if not kind or not key.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
        return None
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"
