"""A report as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from slmdeploy.bench.summary import counted
from slmdeploy.report.conditions import differing
from slmdeploy.report.definitions import STATISTICS
from slmdeploy.report.definitions import definitions as all_definitions
from slmdeploy.store.record import Record

__all__ = ["SCHEMA", "render_json", "report_document"]

SCHEMA = "slmdeploy/report/1"


def render_json(records: Sequence[Record], *, definitions: bool = False) -> str:
    """The document as text; arguments as for ``render_markdown``."""
    document = report_document(records, definitions=definitions)
    return json.dumps(document, allow_nan=False, ensure_ascii=False, indent=2) + "\n"


def report_document(records: Sequence[Record], *, definitions: bool = False) -> dict[str, Any]:
    """The document: ``schema``, ``records``, ``different_conditions``, ``definitions``.

    Records are as they are stored, in the metrics' own units; in the place of the
    single samples stand how many runs were counted.
    """
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "records": [_record(record) for record in records],
        "different_conditions": differing(records),
    }
    if definitions:
        document["definitions"] = {"metrics": all_definitions(), "statistics": STATISTICS}
    return document


def _record(record: Record) -> dict[str, Any]:
    if record.imported is not None:
        return record.model_dump(mode="json", exclude={"samples"})
    timed = [sample for sample in record.samples if sample.role == "timed"]
    not_counted = [
        {"index": sample.index, "outcome": sample.outcome, "reason": sample.reason}
        for sample in timed
        if sample.outcome != "ok"
    ]
    return {
        **record.model_dump(mode="json", exclude={"samples"}),
        "runs": {
            "timed": len(timed),
            "counted": len(counted(record.samples)),
            "not_counted": not_counted,
        },
    }
