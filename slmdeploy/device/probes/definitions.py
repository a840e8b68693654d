"""What each value of a sensor means, and in which unit it is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFINITIONS", "Definition"]


@dataclass(frozen=True)
class Definition:
    """What a quantity is.

    Attributes:
        id: Key in records.
        unit: ``C``, ``MHz``, ``W``, ``bytes``, ``cores`` ...; empty for words.
        text: One or two sentences.
        estimate: Whether it is an estimate and no measurement of the thing itself.
    """

    id: str
    unit: str
    text: str
    estimate: bool = False


_ALL = (
    Definition("temperature_c", "C", "Temperature of a thermal zone or of a hwmon sensor."),
    Definition(
        "throttle_now",
        "flag",
        "1 while the firmware or the kernel holds the speed down for this reason, or while it"
        " reports under-voltage.",
    ),
    Definition(
        "throttle_since_boot",
        "flag",
        "1 if the firmware did so at any time since the board was started.",
    ),
    Definition(
        "throttle_events",
        "count",
        "How often the over-current protection has slowed the chip down since the board was"
        " started.",
    ),
    Definition(
        "current_alarm", "flag", "1 while the current of a rail is above the limit of its monitor."
    ),
    Definition("clock_mhz", "MHz", "Clock of a CPU policy as the kernel has set it."),
    Definition(
        "clock_measured_mhz",
        "MHz",
        "Clock of the CPU as the firmware measures it: lower than what the kernel has set while"
        " the firmware throttles.",
    ),
    Definition("clock_cap_mhz", "MHz", "Highest clock that a CPU policy may take at present."),
    Definition("clock_floor_mhz", "MHz", "Lowest clock that a CPU policy may take at present."),
    Definition("clock_limit_mhz", "MHz", "Highest clock that the hardware of a CPU policy has."),
    Definition("governor", "", "Who chooses the clock of a CPU policy."),
    Definition("power_rail_w", "W", "Power of one rail: its voltage times its current."),
    Definition(
        "power_total_w",
        "W",
        "Power of the whole module, measured at its input rail. The carrier board's own parts and"
        " the supply's losses are not in it.",
    ),
    Definition(
        "power_rails_w",
        "W",
        "Sum of the rails that have a sensor. There is none at the input: other rails and the"
        " losses of conversion are not in it.",
    ),
    Definition(
        "power_pmic_w",
        "W",
        "Estimate: sum over the rails of the power management chip of voltage times current."
        " Losses of conversion and what USB and other 5 V parts take are not in it.",
        estimate=True,
    ),
    Definition("fan_rpm", "rpm", "Speed of a fan."),
    Definition("fan_percent", "%", "How hard a fan is driven; 100 is full."),
    Definition(
        "process_peak_rss_bytes",
        "bytes",
        "Largest resident set of the watched process so far (VmHWM).",
    ),
    Definition(
        "process_anon_bytes", "bytes", "Anonymous resident memory of the watched process (RssAnon)."
    ),
    Definition(
        "process_file_bytes",
        "bytes",
        "File-backed resident memory of the watched process (RssFile).",
    ),
    Definition(
        "process_pss_bytes",
        "bytes",
        "Proportional set size of the watched process: each page by the number of processes that"
        " share it.",
    ),
    Definition("process_swap_bytes", "bytes", "Memory of the watched process in swap (VmSwap)."),
    Definition(
        "process_major_faults",
        "count",
        "Page faults of the watched process so far that had to read from a disk.",
    ),
    Definition("memory_total_bytes", "bytes", "Main memory of the board."),
    Definition(
        "memory_available_bytes", "bytes", "What a new process could have without swapping."
    ),
    Definition("swap_total_bytes", "bytes", "Size of all swap areas."),
    Definition("swap_used_bytes", "bytes", "What lies in swap."),
    Definition(
        "zram_used_bytes", "bytes", "What lies in swap areas that are compressed memory (zram)."
    ),
    Definition("pages_swapped_in", "count", "Pages that came back from swap since the start."),
    Definition("pages_swapped_out", "count", "Pages that went to swap since the start."),
    Definition(
        "load_all_cores", "cores", "Processor time of everything between two readings, in cores."
    ),
    Definition(
        "load_others_cores",
        "cores",
        "Processor time between two readings, in cores, without the watched process and without"
        " the agent that reads.",
    ),
    Definition(
        "busiest_others",
        "",
        "The processes that took most processor time between two readings, with their cores; the"
        " watched one and the agent are left out.",
    ),
    Definition("power_mode", "", "Power mode of a Jetson (nvpmodel)."),
)

DEFINITIONS: dict[str, Definition] = {one.id: one for one in _ALL}
"""All quantities by id."""
