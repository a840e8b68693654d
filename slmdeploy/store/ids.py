"""Ids of records: short, in the order of time, and readable."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

__all__ = ["new_id"]

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u


def new_id(now: datetime | None = None) -> str:
    """An id such as ``261122-195132-k3f9``: date and time in UTC, then four at random.

    Ids sort as text in the order of their second.

    Args:
        now: Time of the record; the current one by default.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    tail = "".join(secrets.choice(_LETTERS) for _ in range(4))
    return f"{moment:%y%m%d-%H%M%S}-{tail}"
