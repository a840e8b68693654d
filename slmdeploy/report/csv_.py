"""A report as CSV: one line per record, plain numbers in the metrics' own units."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from slmdeploy.bench.metrics import METRICS
from slmdeploy.bench.summary import counted
from slmdeploy.errors import UsageError
from slmdeploy.store.record import Record

__all__ = ["COLUMNS", "render_csv"]

_IDENTITY = (
    "id",
    "created",
    "status",
    "reason",
    "model",
    "model_note",
    "recipe",
    "target",
    "device",
    "bundle",
    "workload",
    "threads",
    "runs_timed",
    "runs_counted",
    "notes",
    "imported",
)
_SUFFIXES = ("", "_n", "_spread")

COLUMNS: tuple[str, ...] = (
    *_IDENTITY,
    *(f"{metric}{suffix}" for metric in METRICS for suffix in _SUFFIXES),
    "sensors",
    "missing",
)
"""The same in every file, whatever the records hold.

``sensors`` names what stands behind the board's values, and which are estimates;
``missing`` has the reasons of what could not be had.
"""


def render_csv(records: Sequence[Record], *, definitions: bool = False) -> str:
    """A head line and one line per record; what could not be had is empty.

    Raises:
        UsageError: ``definitions``: a CSV file has no place for them.
    """
    if definitions:
        raise UsageError(
            "CSV has no place for definitions.", hint="Use --format md or --format json."
        )
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_line(record) for record in records)
    return text.getvalue()


def _line(record: Record) -> dict[str, str]:
    timed = sum(sample.role == "timed" for sample in record.samples)
    identity = (
        record.id,
        record.created.isoformat(),
        record.status,
        record.reason or "",
        record.model_name,
        (record.model.note if record.model is not None else None) or "",
        record.recipe_name,
        record.target,
        record.device,
        record.bundle,
        record.workload.key,
        "" if record.threads is None else str(record.threads),
        str(timed),
        str(len(counted(record.samples))),
        "; ".join(record.notes),
        "" if record.imported is None else record.imported.tool,
    )
    return {**dict(zip(_IDENTITY, identity, strict=True)), **_numbers(record)}


def _numbers(record: Record) -> dict[str, str]:
    cells: dict[str, str] = {}
    missing: list[str] = []
    sensors: list[str] = []
    for name in METRICS.keys() & record.metrics.keys():
        found = record.metrics[name]
        cells[f"{name}_n"] = str(found.n)
        cells[f"{name}_spread"] = "" if found.spread is None else repr(found.spread)
        cells[name] = "" if found.value is None else repr(found.value)
        if found.value is None:
            missing.append(f"{name}: {found.reason}")
        if found.sensor is not None:
            sensors.append(f"{name}: {found.sensor}")
    cells["sensors"] = "; ".join(sorted(sensors))
    cells["missing"] = "; ".join(sorted(missing))
    return cells
