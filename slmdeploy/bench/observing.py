"""Give each process of a measurement the readings that fall into its time. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from slmdeploy.bench.samples import ProcessSample
from slmdeploy.bench.sensors import BoardWatch, SensorSeries
from slmdeploy.device.probes.definitions import DEFINITIONS
from slmdeploy.device.probes.series import Observed, Series

__all__ = ["Observe", "board_watch", "span_ns", "with_sensors"]

Observe = Callable[[tuple[ProcessSample, ...]], tuple[ProcessSample, ...]]
"""Adds to the samples what was seen of the board; called once, after the last process."""


def span_ns(sample: ProcessSample) -> tuple[int, int] | None:
    """First and last stamp of a process; ``None`` if it said nothing."""
    if sample.start is None:
        return None
    begin = sample.start.t_ns
    ends = [
        *(stamp.t_ns for stamp in sample.memory),
        *(token.t_ns for token in sample.tokens),
        *(phase.end_ns for phase in sample.loads),
        *(chunk.end_ns for chunk in sample.prefill),
        *(run.end_ns for run in sample.runs),
    ]
    return begin, max([begin, sample.end_ns or begin, *ends])


def with_sensors(
    samples: Sequence[ProcessSample], observed: Observed, reason: str | None = None
) -> tuple[ProcessSample, ...]:
    """The samples with the readings of their time.

    The reading just before a process and the one just after it are kept as well: short
    processes have no other. Readings of a process go to the one with its number alone.

    Args:
        samples: Of one board, in any order.
        observed: What the agent saw.
        reason: Why it saw nothing, or not all.
    """
    return tuple(_with_sensors(sample, observed, reason) for sample in samples)


def board_watch(observed: Observed, reason: str | None) -> BoardWatch:
    """How the board was watched."""
    cost = observed.cost
    return BoardWatch(
        reason=reason,
        agent_cpu_share=None if cost is None else cost.share,
        agent_wall_s=None if cost is None else cost.wall_ns / 1e9,
    )


def _with_sensors(sample: ProcessSample, observed: Observed, reason: str | None) -> ProcessSample:
    span = span_ns(sample)
    if span is None:
        return sample.model_copy(update={"unwatched": reason})
    pid = None if sample.start is None else sample.start.pid
    kept = [_cut(one, *span) for one in observed.series if one.pid is None or one.pid == pid]
    return sample.model_copy(update={"sensors": tuple(kept), "unwatched": reason})


def _cut(series: Series, begin: int, end: int) -> SensorSeries:
    first = max(0, bisect_left(series.t_ns, begin) - 1)
    last = bisect_right(series.t_ns, end) + 1
    return SensorSeries(
        quantity=series.quantity,
        of=series.of,
        unit=DEFINITIONS[series.quantity].unit,
        sensor=series.sensor,
        t_ns=series.t_ns[first:last],
        values=series.values[first:last],
        reason=series.reason,
    )
