"""What is computed from the readings of one process: heat, clocks, power, others' load.

As in ``derive``, ``None`` stands where there is too little; ``board_metrics`` has the
definitions in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from slmdeploy.bench.observing import span_ns
from slmdeploy.bench.samples import ProcessSample
from slmdeploy.bench.sensors import SensorSeries
from slmdeploy.bench.statistics import median

__all__ = [
    "POWERS",
    "clock_cap_mhz",
    "clock_limit_mhz",
    "clock_median_mhz",
    "clock_min_mhz",
    "clock_quantity",
    "energy_per_token_j",
    "load_others_cores",
    "peak_pss_bytes",
    "peak_swap_bytes",
    "power_mean_w",
    "power_series",
    "series_of",
    "temperature_end_c",
    "temperature_peak_c",
    "temperature_start_c",
    "throttled_percent",
    "throttles",
]

POWERS = ("power_total_w", "power_rails_w", "power_pmic_w")
"""Quantities that stand for the board's power; the first that there is counts."""

_LEAST = 2
"""Readings that a mean or a lowest value needs."""

Point = tuple[int, float]


def series_of(sample: ProcessSample, quantity: str) -> tuple[SensorSeries, ...]:
    """The series of a quantity that have a value."""
    return tuple(
        one
        for one in sample.sensors
        if one.quantity == quantity and any(True for _ in _points(one))
    )


def temperature_peak_c(sample: ProcessSample) -> float | None:
    """The hottest reading of any sensor."""
    return _largest(sample, "temperature_c")


def temperature_start_c(sample: ProcessSample) -> float | None:
    """The hottest sensor at the last reading before the process began, or the first one."""
    span = span_ns(sample)
    found = []
    for one in series_of(sample, "temperature_c") if span else ():
        points = list(_points(one))
        earlier = [value for t, value in points if span is not None and t <= span[0]]
        found.append(earlier[-1] if earlier else points[0][1])
    return max(found, default=None)


def temperature_end_c(sample: ProcessSample) -> float | None:
    """The hottest sensor at the last reading."""
    lasts = [list(_points(one))[-1][1] for one in series_of(sample, "temperature_c")]
    return max(lasts, default=None)


def clock_quantity(sample: ProcessSample) -> str:
    """The firmware's own clock where it was read often enough, else the kernel's."""
    measured = series_of(sample, "clock_measured_mhz")
    often = any(len(_inside(sample, one)) >= _LEAST for one in measured)
    return "clock_measured_mhz" if often else "clock_mhz"


def clock_min_mhz(sample: ProcessSample) -> float | None:
    """The lowest of the fastest policy's clocks."""
    clocks = _fastest(sample)
    return min(clocks) if len(clocks) >= _LEAST else None


def clock_median_mhz(sample: ProcessSample) -> float | None:
    """The median of the fastest policy's clocks."""
    clocks = _fastest(sample)
    return median(clocks) if len(clocks) >= _LEAST else None


def clock_limit_mhz(sample: ProcessSample) -> float | None:
    """The highest clock of the fastest policy's hardware."""
    return _largest(sample, "clock_limit_mhz")


def clock_cap_mhz(sample: ProcessSample) -> float | None:
    """The lowest cap, of the policy that the hardware lets run fastest."""
    limits = {one.of: value for one in series_of(sample, "clock_limit_mhz") for value in _of(one)}
    caps = {one.of: min(_of(one)) for one in series_of(sample, "clock_cap_mhz")}
    fastest = [of for of in caps if limits.get(of) == max(limits.values(), default=None)]
    return max((caps[of] for of in fastest or caps), default=None)


def throttled_percent(sample: ProcessSample) -> float | None:
    """Share of the readings with a flag on; a flag holds until it is read again."""
    flags = [list(_points(one)) for one in series_of(sample, "throttle_now")]
    times = sorted({t for points in flags for t, _ in points})
    on = sum(any(_at(points, t) for points in flags) for t in times)
    return 100.0 * on / len(times) if times else None


def throttles(sample: ProcessSample) -> tuple[str, ...]:
    """What held the board back while the process ran, in words."""
    now = [one.of for one in series_of(sample, "throttle_now") if max(_of(one)) > 0]
    new = [
        one.of
        for quantity in ("throttle_since_boot", "throttle_events")
        for one in series_of(sample, quantity)
        if any(after > before for before, after in pairwise(_of(one)))
    ]
    return tuple(dict.fromkeys((*now, *new)))


def power_series(sample: ProcessSample) -> SensorSeries | None:
    """The board's power, by the best sensor that it has."""
    return next((one for name in POWERS for one in series_of(sample, name)), None)


def power_mean_w(sample: ProcessSample) -> float | None:
    """Mean over the readings within the process's time."""
    series = power_series(sample)
    return None if series is None else _mean(_inside(sample, series))


def energy_per_token_j(sample: ProcessSample) -> float | None:
    """Mean power during decode, times its length, by the tokens that it gave."""
    series = power_series(sample)
    if series is None or len(sample.tokens) < 2:
        return None
    first, last = sample.tokens[0].t_ns, sample.tokens[-1].t_ns
    power = _mean([value for t, value in _points(series) if first <= t <= last])
    return None if power is None else power * (last - first) * 1e-9 / (len(sample.tokens) - 1)


def peak_pss_bytes(sample: ProcessSample) -> float | None:
    """The largest reading; a short process may have been read before it had its model alone."""
    loaded = max((phase.end_ns for phase in sample.loads), default=0)
    series = series_of(sample, "process_pss_bytes")
    if not any(t >= loaded for one in series for t, _ in _points(one)):
        return None
    return _largest(sample, "process_pss_bytes")


def peak_swap_bytes(sample: ProcessSample) -> float | None:
    """The largest reading of what the process had in swap."""
    return _largest(sample, "process_swap_bytes")


def load_others_cores(sample: ProcessSample) -> float | None:
    """Mean of the readings that ended within the process's time."""
    found = [v for one in series_of(sample, "load_others_cores") for v in _inside(sample, one)]
    return sum(found) / len(found) if found else None


def _points(series: SensorSeries) -> Iterator[Point]:
    for t, value in zip(series.t_ns, series.values, strict=True):
        if isinstance(value, float | int):
            yield t, float(value)


def _at(points: list[Point], t: int) -> float:
    """The last value until then; 0 before the first."""
    earlier = [value for at, value in points if at <= t]
    return earlier[-1] if earlier else 0.0


def _of(series: SensorSeries) -> list[float]:
    return [value for _, value in _points(series)]


def _inside(sample: ProcessSample, series: SensorSeries) -> list[float]:
    span = span_ns(sample)
    return [] if span is None else [v for t, v in _points(series) if span[0] <= t <= span[1]]


def _fastest(sample: ProcessSample) -> list[float]:
    """At each reading within the process's time, the clock of the fastest policy."""
    span = span_ns(sample)
    found: dict[int, float] = {}
    for one in series_of(sample, clock_quantity(sample)) if span else ():
        for t, value in _points(one):
            if span is not None and span[0] <= t <= span[1]:
                found[t] = max(value, found.get(t, value))
    return list(found.values())


def _largest(sample: ProcessSample, quantity: str) -> float | None:
    return max((v for one in series_of(sample, quantity) for v in _of(one)), default=None)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if len(values) >= _LEAST else None
