"""The probes that are installed, by name: those of the entry-point group ``slmdeploy.probes``."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

from slmdeploy.device.probes.types import Probe
from slmdeploy.errors import UnknownNameError

__all__ = ["GROUP", "probes"]

GROUP = "slmdeploy.probes"


def probes(names: Iterable[str] | None = None) -> tuple[Probe, ...]:
    """The named probes, or all, in the order of their names.

    Raises:
        UnknownNameError: There is no such probe.
    """
    points = {point.name: point for point in metadata.entry_points(group=GROUP)}
    wanted = sorted(points) if names is None else list(names)
    for name in wanted:
        if name not in points:
            raise UnknownNameError("probe", name, points)
    return tuple(points[name].load() for name in wanted)
