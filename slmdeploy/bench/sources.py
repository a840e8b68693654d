"""Which of the board's sensors stand behind a metric, or why none does."""

from __future__ import annotations

from collections.abc import Sequence

from slmdeploy.bench.derive_sensors import series_of
from slmdeploy.bench.metric import Metric
from slmdeploy.bench.samples import ProcessSample
from slmdeploy.device.probes.definitions import DEFINITIONS

__all__ = ["missing", "sensors"]

_NAMED = 4


def sensors(metric: Metric, samples: Sequence[ProcessSample]) -> str | None:
    """As in ``"power_pmic_w (estimate) of sum of rails"``; ``None`` for the runner's own."""
    if metric.quantities is None:
        return None
    found: dict[str, dict[str, None]] = {}
    for sample in samples:
        for quantity in metric.quantities(sample):
            for one in series_of(sample, quantity):
                found.setdefault(quantity, {})[one.of] = None
    return "; ".join(_named(quantity, list(of)) for quantity, of in found.items()) or None


def missing(metric: Metric, samples: Sequence[ProcessSample]) -> str:
    """Why no sample has a value."""
    if metric.quantities is None:
        return "the runner did not report what it needs"
    wanted = {quantity for sample in samples for quantity in metric.quantities(sample)}
    series = [one for sample in samples for one in sample.sensors if one.quantity in wanted]
    if any(value is not None for one in series for value in one.values):
        return "too few readings fell into the time that it needs"
    reasons = [one.reason for one in series if one.reason]
    reasons += [sample.unwatched for sample in samples if sample.unwatched]
    if reasons or any(sample.sensors for sample in samples):
        return reasons[0] if reasons else "no reading fell into the time of the process"
    return "the board's sensors were not read"


def _named(quantity: str, of: Sequence[str]) -> str:
    estimate = " (estimate)" if DEFINITIONS[quantity].estimate else ""
    names = [name for name in of if name]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{quantity}{estimate}" + (f" of {', '.join(names[:_NAMED])}{more}" if names else "")
