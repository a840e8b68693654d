"""Numbers as people read them."""

from __future__ import annotations

import math

__all__ = ["ABSENT", "MIB", "in_shown_unit", "number", "shown_unit"]

ABSENT = "\N{EN DASH}"
"""Stands for a value that could not be had; a footnote says why."""

MIB = 1 << 20


def shown_unit(unit: str) -> str:
    """The unit that a table shows: bytes as MiB, the others as they are."""
    return "MiB" if unit == "bytes" else unit


def in_shown_unit(value: float, unit: str) -> float:
    """A value of a metric's unit in the unit that a table shows."""
    return value / MIB if unit == "bytes" else value


def number(value: float, unit: str = "") -> str:
    """Four significant digits, thousands apart; counts as they are.

    ``1234.5`` is ``1,234`` (half to even), ``52.25`` is ``52.25``, ``30`` is
    ``30.00``, ``0.012346`` is ``0.01235``.
    """
    if unit == "count":
        return f"{value:,g}"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if not -6 <= magnitude < 12:
        return f"{value:.3e}"
    return f"{value:,.{max(0, 3 - magnitude)}f}"
