"""What the agent on the board is told to read: the sources of the probes, each once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from slmdeploy.device.probes.types import Probe, Source

__all__ = ["plan_sources", "source_keys"]


def plan_sources(probes: Iterable[Probe]) -> list[dict[str, Any]]:
    """Entries of the agent's plan, in the order of ``source_keys``.

    What several probes read is read as often as the one that asks for most.
    """
    return [_entry(source) for source in _merged(probes).values()]


def source_keys(probes: Iterable[Probe]) -> tuple[str, ...]:
    """Keys of the sources, by their place in the plan."""
    return tuple(_merged(probes))


def _merged(probes: Iterable[Probe]) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for probe in probes:
        for source in probe.sources:
            known = found.get(source.key)
            if known is None or _period(source) < _period(known):
                found[source.key] = source
    return found


def _period(source: Source) -> float:
    return float("inf") if source.every_s is None else source.every_s


def _entry(source: Source) -> dict[str, Any]:
    entry: dict[str, Any] = {"every_s": source.every_s}
    if isinstance(source.what, str):
        entry["files"] = source.what
    else:
        entry["command"] = list(source.what)
    if source.joined:
        entry["joined"] = True
    if source.until:
        entry["until"] = source.until
    return entry
