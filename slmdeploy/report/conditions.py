"""What must be equal for two records to be compared, and what is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from slmdeploy.store.record import Record

__all__ = ["CONDITIONS", "differing", "warnings"]

_Read = Callable[[Record], str | None]


def _runners(record: Record) -> str | None:
    """Runtime and version of the runner, as its processes said."""
    if record.imported is not None:
        return None
    starts = [sample.start for sample in record.samples if sample.start is not None]
    said = {f"{start.runtime} {start.runner_version}" for start in starts}
    return ", ".join(sorted(said)) or "unknown"


def _said(quantity: str) -> _Read:
    """What the board's sensors said of it, in the order of first mention."""

    def read(record: Record) -> str | None:
        words = (
            str(value)
            for sample in record.samples
            for one in sample.sensors
            if one.quantity == quantity
            for value in one.values
            if value is not None
        )
        return " + ".join(dict.fromkeys(words)) or None

    return read


def _measured_by(record: Record) -> str:
    """Whose figures they are: another tool's are not to be ranked with ours."""
    return "slmdeploy" if record.imported is None else f"{record.imported.tool} (imported)"


CONDITIONS: Mapping[str, _Read] = {
    "measured by": _measured_by,
    "workload": lambda record: record.workload.key,
    "threads": lambda record: (
        None if record.imported is not None else str(record.threads or "runner's choice")
    ),
    "runner": _runners,
    "governor": _said("governor"),
    "power mode": _said("power_mode"),
}
"""Conditions of a measurement; model, recipe, target and device are what is compared.

One that is not known of a record, ``None``, differs from none.
"""


def differing(records: Sequence[Record]) -> dict[str, dict[str, tuple[str, ...]]]:
    """The conditions that differ: for each of them, each value with its records' ids.

    Records without a valid run have no numbers to be compared, and are left out.
    """
    measured = [record for record in records if record.status == "valid"]
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, read in CONDITIONS.items():
        groups: dict[str, tuple[str, ...]] = {}
        for record in measured:
            value = read(record)
            if value is None:
                continue
            groups[value] = (*groups.get(value, ()), record.id)
        if len(groups) > 1:
            found[name] = groups
    return found


def warnings(records: Sequence[Record]) -> tuple[str, ...]:
    """One sentence per condition that differs."""
    return tuple(
        f"Measured under different conditions, not to be ranked: {name} is "
        + "; ".join(f"{value} ({', '.join(ids)})" for value, ids in groups.items())
        + "."
        for name, groups in differing(records).items()
    )
