"""What the board's state says against a measurement: remarks, with how many runs they concern."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slmdeploy.bench import derive_sensors as derive
from slmdeploy.bench.samples import ProcessSample

__all__ = ["CONTENDED_CORES", "HOT_START_C", "board_notes"]

HOT_START_C = 60.0
"""From here on a board is said to be hot at the start: what is measured depends on its cooling."""

CONTENDED_CORES = 0.3
"""More than this of others' load is said to contend for the processor and the memory."""

_CAP_SLACK = 0.99


def board_notes(samples: Sequence[ProcessSample]) -> tuple[str, ...]:
    """One remark for each thing that is wrong, over the timed samples."""
    timed = [sample for sample in samples if sample.role == "timed"]
    checks: tuple[Callable[[Sequence[ProcessSample]], str | None], ...] = (
        _throttled,
        _capped,
        _swapped,
        _contended,
        _hot,
        _unwatched,
    )
    return tuple(note for note in (check(timed) for check in checks) if note)


def _throttled(timed: Sequence[ProcessSample]) -> str | None:
    found = [derive.throttles(sample) for sample in timed]
    reasons = dict.fromkeys(reason for one in found for reason in one)
    return f"throttled in {_share(found)}: {', '.join(reasons)}" if reasons else None


def _capped(timed: Sequence[ProcessSample]) -> str | None:
    pairs = [(derive.clock_cap_mhz(one), derive.clock_limit_mhz(one)) for one in timed]
    low = [(cap, top) for cap, top in pairs if cap and top and cap < _CAP_SLACK * top]
    if not low:
        return None
    cap, top = min(low)
    return f"capped clock: {cap:.0f} of {top:.0f} MHz in {len(low)} of {_runs(len(pairs))}"


def _swapped(timed: Sequence[ProcessSample]) -> str | None:
    found = [derive.peak_swap_bytes(sample) or 0.0 for sample in timed]
    worst = max(found, default=0.0)
    if worst <= 0:
        return None
    return f"swapped: up to {worst / (1 << 20):.1f} MiB of the process in {_share(found)}"


def _contended(timed: Sequence[ProcessSample]) -> str | None:
    loads = [derive.load_others_cores(sample) or 0.0 for sample in timed]
    high = [load for load in loads if load > CONTENDED_CORES]
    if not high:
        return None
    names = _busiest(timed)
    return (
        f"contended: other processes took up to {max(high):.2f} cores in {len(high)} of"
        f" {_runs(len(loads))}" + (f" ({names})" if names else "")
    )


def _hot(timed: Sequence[ProcessSample]) -> str | None:
    found = [derive.temperature_start_c(sample) for sample in timed]
    hot = [value for value in found if value is not None and value >= HOT_START_C]
    if not hot:
        return None
    return f"hot at the start: up to {max(hot):.1f} C in {len(hot)} of {_runs(len(found))}"


def _unwatched(timed: Sequence[ProcessSample]) -> str | None:
    reasons = dict.fromkeys(sample.unwatched for sample in timed if sample.unwatched)
    return (
        f"the board's sensors were not read, or not all: {'; '.join(reasons)}" if reasons else None
    )


def _busiest(timed: Sequence[ProcessSample]) -> str:
    """The last that was said of the others' names."""
    said = [
        value
        for sample in timed
        for one in sample.sensors
        if one.quantity == "busiest_others"
        for value in one.values
        if isinstance(value, str) and value != "none"
    ]
    return said[-1] if said else ""


def _share(found: Sequence[object]) -> str:
    return f"{sum(bool(one) for one in found)} of {_runs(len(found))}"


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
