"""How a value of the inventory is shown to people."""

from __future__ import annotations

from typing import Any

__all__ = ["value_text"]


def value_text(value: Any) -> str:
    """One line; ``-`` where there is nothing."""
    if value is None or value == {}:
        return "-"
    if hasattr(value, "items"):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return str(value)
