"""From samples to one value per metric, with how many values stand behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from slmdeploy.bench import statistics
from slmdeploy.bench.metrics import METRICS, Metric, metrics_for
from slmdeploy.bench.samples import ProcessSample
from slmdeploy.bench.sources import missing, sensors

__all__ = ["MetricValue", "counted", "size_values", "summarize"]


class MetricValue(BaseModel):
    """A metric's value.

    Attributes:
        value: In the metric's unit; ``None`` where it could not be had.
        reason: Why there is no value.
        n: How many values stand behind it: processes, or pooled single values.
        spread: (max - min) / median of them; over processes only.
        quartiles: First and third quartile; over processes only.
        interval: 95 % confidence interval of the median; over processes only.
        sensor: What of the board's sensors it came from, and whether that is an estimate;
            ``None`` for what the runner measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    unit: str
    n: int = Field(ge=0)
    reason: str | None = None
    spread: float | None = None
    quartiles: tuple[float, float] | None = None
    interval: tuple[float, float] | None = None
    sensor: str | None = None


def counted(samples: Sequence[ProcessSample]) -> tuple[ProcessSample, ...]:
    """The samples that enter a summary: timed, finished and valid."""
    return tuple(s for s in samples if s.role == "timed" and s.outcome == "ok")


def summarize(
    samples: Sequence[ProcessSample], kind: Literal["generate", "invoke"]
) -> dict[str, MetricValue]:
    """Every measured metric of this kind of workload, over the valid samples.

    Args:
        samples: All samples; failed and invalid ones and warm-ups are left out here.
        kind: Of the workload.
    """
    valid = counted(samples)
    return {metric.id: _value(metric, valid) for metric in metrics_for(kind) if metric.read}


def size_values(sizes: Mapping[str, int]) -> dict[str, MetricValue]:
    """Metrics that are known without running: ``artifact_bytes``, ``bundle_bytes``."""
    return {
        metric_id: MetricValue(value=float(size), unit=METRICS[metric_id].unit, n=1)
        for metric_id, size in sizes.items()
    }


def _value(metric: Metric, valid: Sequence[ProcessSample]) -> MetricValue:
    if not valid:
        return MetricValue(value=None, unit=metric.unit, n=0, reason="no valid run")
    read = metric.read
    values = [value for sample in valid for value in read(sample)] if read else []
    if not values:
        return MetricValue(value=None, unit=metric.unit, n=0, reason=missing(metric, valid))
    if metric.q is not None:
        return _pooled(metric, values)
    return _over_processes(metric, values, sensors(metric, valid))


def _over_processes(metric: Metric, values: Sequence[float], sensor: str | None) -> MetricValue:
    return MetricValue(
        value=statistics.median(values),
        unit=metric.unit,
        n=len(values),
        spread=statistics.spread(values),
        quartiles=statistics.iqr(values),
        interval=statistics.median_interval(values),
        sensor=sensor,
    )


def _pooled(metric: Metric, values: Sequence[float]) -> MetricValue:
    """A quantile of single values; those of one process are not independent: no interval."""
    q = metric.q if metric.q is not None else 0.5
    value, needed = statistics.supported_quantile(values, q), statistics.values_needed(q)
    percent = round(q * 100)
    return MetricValue(
        value=value,
        unit=metric.unit,
        n=len(values),
        reason=None if value is not None else f"p{percent} needs {needed} values",
    )
