"""What a metric is: a number of a report with its unit, its definition and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from slmdeploy.bench.samples import ProcessSample

__all__ = ["Metric", "Read", "Workloads", "many_ms", "one"]

Workloads = Literal["generate", "invoke", "both"]
Read = Callable[[ProcessSample], Sequence[float]]


@dataclass(frozen=True)
class Metric:
    """One number of a report.

    Attributes:
        id: Key in records; ends in its unit.
        title: For the head of a table, without the unit.
        unit: ``ms``, ``tokens/s``, ``bytes``, ``count``, ``C``, ``MHz``, ``W``, ``J`` ...
        better: Which way is better; ``None`` where neither is.
        workloads: Kind of workload that gives it.
        definition: One or two sentences.
        read: Values of one process: one or none, or many where they are pooled;
            ``None`` for what is known without running (sizes).
        q: The quantile of the values pooled over all processes; ``None`` for the
            median over processes.
        quantities: Of the board's sensors that it is computed from, for a sample; ``None``
            for what the runner itself measures.
    """

    id: str
    title: str
    unit: str
    better: Literal["lower", "higher"] | None
    workloads: Workloads
    definition: str
    read: Read | None = None
    q: float | None = None
    quantities: Callable[[ProcessSample], tuple[str, ...]] | None = None


def one(value_of: Callable[[ProcessSample], float | None], scale: float = 1.0) -> Read:
    """Read at most one value of a process."""

    def read(sample: ProcessSample) -> Sequence[float]:
        value = value_of(sample)
        return () if value is None else (value * scale,)

    return read


def many_ms(values_of: Callable[[ProcessSample], Sequence[int]]) -> Read:
    """Read many times of a process, ns to ms."""

    def read(sample: ProcessSample) -> Sequence[float]:
        return tuple(value / 1e6 for value in values_of(sample))

    return read
