"""The metrics that the board's sensors give: heat, clocks, power, others' load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from slmdeploy.bench import derive_sensors as derive
from slmdeploy.bench.metric import Metric, Workloads, one
from slmdeploy.bench.samples import ProcessSample

__all__ = ["BOARD_METRICS"]


def _quantities(*names: str) -> Callable[[ProcessSample], tuple[str, ...]]:
    return lambda _: names


def _clocks(sample: ProcessSample) -> tuple[str, ...]:
    return (derive.clock_quantity(sample),)


def _powers(sample: ProcessSample) -> tuple[str, ...]:
    series = derive.power_series(sample)
    return derive.POWERS if series is None else (series.quantity,)


def _heat(
    name: str, title: str, read: Callable[[ProcessSample], float | None], what: str
) -> Metric:
    return Metric(
        id=f"temperature_{name}_c",
        title=title,
        unit="C",
        better="lower",
        workloads="both",
        definition=what,
        read=one(read),
        quantities=_quantities("temperature_c"),
    )


def _of_board(
    name: str,
    title: str,
    unit: str,
    *,
    better: Literal["lower", "higher"] | None,
    read: Callable[[ProcessSample], float | None],
    definition: str,
    quantities: Callable[[ProcessSample], tuple[str, ...]],
    workloads: Workloads = "both",
) -> Metric:
    return Metric(
        id=name,
        title=title,
        unit=unit,
        better=better,
        workloads=workloads,
        definition=definition,
        read=one(read),
        quantities=quantities,
    )


BOARD_METRICS: tuple[Metric, ...] = (
    _of_board(
        "peak_pss_bytes",
        "Peak PSS",
        "bytes",
        better="lower",
        read=derive.peak_pss_bytes,
        definition="The largest proportional set size of the process that was read (every two"
        " seconds): each page by the number of processes that share it. A peak between"
        " two readings is not seen, and without a reading after loading there is none.",
        quantities=_quantities("process_pss_bytes"),
    ),
    _heat(
        "start",
        "Temperature at start",
        derive.temperature_start_c,
        "The hottest sensor of the board at the last reading before the process began.",
    ),
    _heat(
        "peak",
        "Peak temperature",
        derive.temperature_peak_c,
        "The hottest reading of any sensor of the board while the process ran, with the readings"
        " just before and just after it.",
    ),
    _heat(
        "end",
        "Temperature at end",
        derive.temperature_end_c,
        "The hottest sensor of the board at the first reading after the process had ended.",
    ),
    _of_board(
        "clock_min_mhz",
        "Lowest clock",
        "MHz",
        better="higher",
        read=derive.clock_min_mhz,
        definition="At each reading while the process ran, the clock of the fastest CPU policy;"
        " the lowest of these. Where the firmware measures the clock, its figure"
        " counts.",
        quantities=_clocks,
    ),
    _of_board(
        "clock_median_mhz",
        "Median clock",
        "MHz",
        better="higher",
        read=derive.clock_median_mhz,
        definition="As the lowest clock, but the median of the readings.",
        quantities=_clocks,
    ),
    _of_board(
        "clock_cap_mhz",
        "Clock cap",
        "MHz",
        better="higher",
        read=derive.clock_cap_mhz,
        definition="The lowest cap that was set while the process ran, of the CPU policy whose"
        " hardware can run fastest.",
        quantities=_quantities("clock_cap_mhz"),
    ),
    _of_board(
        "throttled_percent",
        "Throttled",
        "%",
        better="lower",
        read=derive.throttled_percent,
        definition="Share of the readings at which the firmware or the kernel held the speed"
        " down or reported under-voltage, with the readings just before and just after"
        " the process.",
        quantities=_quantities("throttle_now"),
    ),
    _of_board(
        "power_mean_w",
        "Power",
        "W",
        better="lower",
        read=derive.power_mean_w,
        definition="Mean of the readings while the process ran, idle power included. The sensor"
        " says of what: power_total_w is the module's input, power_rails_w a sum of"
        " rails, power_pmic_w an estimate.",
        quantities=_powers,
    ),
    _of_board(
        "energy_per_token_j",
        "Energy per token",
        "J",
        better="lower",
        read=derive.energy_per_token_j,
        definition="Mean power between the first and the last generated token, times that time,"
        " by the tokens generated in it (n - 1). Idle power is included; prefill and"
        " loading are not. It needs two readings of power in that time, and is of the"
        " kind that its sensor is.",
        quantities=_powers,
        workloads="generate",
    ),
    _of_board(
        "load_others_cores",
        "Others' load",
        "cores",
        better="lower",
        read=derive.load_others_cores,
        definition="Mean processor time of all other processes while the process ran, in cores;"
        " the agent that reads the sensors is left out.",
        quantities=_quantities("load_others_cores"),
    ),
)
"""In the order of reports."""
