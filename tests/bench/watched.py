"""Processes and what the board's sensors said meanwhile, with known answers."""

from __future__ import annotations

from collections.abc import Sequence

from slmdeploy.bench.observing import with_sensors
from slmdeploy.bench.samples import ProcessSample, sample_of
from slmdeploy.device.probes.series import Observed, Series

from .traces import MS, generation

BEGIN = 10**12
HALF_S = 500 * MS

Values = Sequence[float | str | None]


def process(index: int = 0, *, begin: int = BEGIN, tokens: int = 21, role="timed") -> ProcessSample:
    """A process of some two seconds: 83 ms to the first token, then one each 100 ms."""
    events = generation([100.0] * (tokens - 1), t_ns=begin)
    return sample_of(events, kind="generate", role=role, index=index)


def series(
    quantity: str,
    values: Values,
    *,
    of: str = "",
    first: int = BEGIN - 400 * MS,
    every: int = HALF_S,
    pid: int | None = None,
    reason: str | None = None,
) -> Series:
    """Readings each half a second: one before the process, four while it runs, then after it."""
    stamps = tuple(first + i * every for i in range(len(values)))
    return Series(quantity, of, f"sensor of {quantity}", stamps, tuple(values), reason, pid)


def seen(*found: Series, sample: ProcessSample | None = None, reason=None) -> ProcessSample:
    """The process with these readings."""
    return with_sensors([sample or process()], Observed(found), reason)[0]
