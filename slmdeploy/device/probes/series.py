"""From the agent's raw text to series of values with their stamps. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from slmdeploy.device.probes.plan import source_keys
from slmdeploy.device.probes.types import PID, Measured, Probe, Raw, Text

__all__ = ["AgentCost", "Observed", "Series", "parse_log"]


@dataclass(frozen=True)
class Series:
    """The readings of one value.

    Attributes:
        quantity: Id of its definition.
        of: What it was measured of.
        sensor: Where it came from.
        t_ns: When each was read, on the board's CLOCK_MONOTONIC, as the runner's stamps.
        values: As many; ``None`` where a reading gave none.
        reason: Why one gave none, the last of them.
        pid: The process that it is of; ``None`` for the board.
    """

    quantity: str
    of: str
    sensor: str
    t_ns: tuple[int, ...] = ()
    values: tuple[float | str | None, ...] = ()
    reason: str | None = None
    pid: int | None = None


@dataclass(frozen=True)
class AgentCost:
    """Processor time that the agent took, its commands included, and for how long."""

    cpu_ns: int
    wall_ns: int

    @property
    def share(self) -> float | None:
        """Of one core; ``None`` for no time at all."""
        return self.cpu_ns / self.wall_ns if self.wall_ns > 0 else None


@dataclass(frozen=True)
class Observed:
    """All that the agent saw.

    Attributes:
        series: By probe; those that never had a value have their reason.
        cost: From its first line to its last; ``None`` if it told none.
        end: Why it ended; ``None`` if it was cut off.
    """

    series: tuple[Series, ...] = ()
    cost: AgentCost | None = None
    end: str | None = None


@dataclass
class _Points:
    last: Measured
    pid: int | None
    t_ns: list[int] = field(default_factory=list)
    values: list[float | str | None] = field(default_factory=list)
    reason: str | None = None


@dataclass
class _Reader:
    """Follows the log line by line; knows at each line what every text is."""

    probes: Sequence[Probe]
    keys: tuple[str, ...]
    raw: dict[str, Text] = field(default_factory=dict)
    ids: dict[int, tuple[str, int]] = field(default_factory=dict)
    before: dict[str, Raw] = field(default_factory=dict)
    points: dict[tuple[str, str, int | None], _Points] = field(default_factory=dict)
    pid: int | None = None
    has_read: bool = False

    def take(self, line: dict[str, Any]) -> None:
        if "key" in line:
            self.ids[int(line["id"])] = (str(line["key"]), int(line["source"]))
        elif "watch" in line or "gone" in line:
            self.pid = int(line["watch"]) if "watch" in line else None
            for key in [key for key in self.raw if PID in key]:
                del self.raw[key]
        elif "read" in line:
            for number, text in dict(line.get("text", {})).items():
                self.raw[self.ids[int(number)][0]] = Text(str(text))
            for number, why in dict(line.get("miss", {})).items():
                self.raw[self.ids[int(number)][0]] = Text(None, str(why))
            self._measure(int(line["t"]), {int(index) for index in line["read"]})
            self.has_read = True

    def _measure(self, t_ns: int, read: set[int]) -> None:
        sources = {self.keys[index] for index in read if index < len(self.keys)}
        files = {key for key, index in self.ids.values() if index in read}
        for probe in self.probes:
            own = {source.key for source in probe.sources} & sources
            if probe.clock in own or (probe.clock is None and own):
                for value in self._values(probe):
                    if any(_is_from(value.sensor, key) for key in files):
                        self._keep(t_ns, value)

    def _values(self, probe: Probe) -> Iterator[Measured]:
        now = dict(self.raw)
        if probe.parse is not None:
            yield from probe.parse(now)
        if probe.between is not None:
            before = self.before.get(probe.name)
            self.before[probe.name] = now
            if before is not None:
                yield from probe.between(before, now)

    def _keep(self, t_ns: int, value: Measured) -> None:
        pid = self.pid if PID in value.sensor else None
        key = (value.quantity, value.of, pid)
        points = self.points.setdefault(key, _Points(value, pid))
        points.t_ns.append(t_ns)
        points.values.append(value.value)
        points.reason = value.reason or points.reason


def parse_log(text: str, probes: Sequence[Probe]) -> Observed:
    """Read what the agent wrote; a line that was cut off, or makes no sense, is passed over.

    Args:
        text: JSON lines, as ``runtime/agent.py`` describes them.
        probes: Those that its plan was made of, in the same order.
    """
    reader = _Reader(probes, source_keys(probes))
    costs: list[tuple[int, int]] = []
    end = None
    for line in _lines(text):
        try:
            reader.take(line)
            if "cpu_ns" in line:
                costs.append((int(line["t"]), int(line["cpu_ns"])))
        except (KeyError, TypeError, ValueError):
            continue
        end = line.get("end", end)
    series = (*_series(reader), *_never(reader))
    return Observed(series, _cost(costs), None if end is None else str(end))


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for row in text.splitlines():
        try:
            line = json.loads(row)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict):
            yield line


def _series(reader: _Reader) -> Iterator[Series]:
    for points in reader.points.values():
        yield Series(
            quantity=points.last.quantity,
            of=points.last.of,
            sensor=points.last.sensor,
            t_ns=tuple(points.t_ns),
            values=tuple(points.values),
            reason=points.reason,
            pid=points.pid,
        )


def _never(reader: _Reader) -> Iterator[Series]:
    """What a probe says that was read not once, though others were: there is no such sensor."""
    if not reader.has_read:
        return
    known = {quantity for quantity, _, _ in reader.points}
    for probe in reader.probes:
        if probe.parse is not None and not probe.of_process:
            for value in probe.parse(reader.raw):
                if value.value is None and value.quantity not in known:
                    yield Series(value.quantity, value.of, value.sensor, reason=value.reason)


def _cost(costs: Sequence[tuple[int, int]]) -> AgentCost | None:
    if len(costs) < 2:
        return None
    (begun, before), (ended, after) = costs[0], costs[-1]
    return AgentCost(after - before, ended - begun)


def _is_from(sensor: str, key: str) -> bool:
    """Whether a value comes from this file or command, or from the folder that it is in."""
    return key in sensor or key.startswith(sensor)
