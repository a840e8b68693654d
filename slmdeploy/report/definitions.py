"""The definitions of all metrics and statistics, for reports and ``docs/metrics.md``."""

from __future__ import annotations

from typing import Any

from slmdeploy.bench.metrics import METRICS
from slmdeploy.report.numbers import ABSENT

__all__ = ["STATISTICS", "definitions", "definitions_markdown", "metrics_page"]

STATISTICS: dict[str, str] = {
    "run": "One process on the device: it starts, loads, works and ends. Warm-up runs come first;"
    " they are kept and not counted. A run that failed or is invalid is kept with its reason and"
    " not counted either.",
    "value": "The median over the counted runs, unless the definition says that single values are"
    " pooled.",
    "median and percentiles": "Linear interpolation between order statistics, type 7 of Hyndman"
    " and Fan (1996). A percentile is given only if one value is to be expected beyond it: p90"
    " needs 10 values, p95 20, p99 100.",
    "spread": "(max - min) / median over the counted runs. Above 5 % a speed is marked unreliable.",
    "quartiles": "The 25th and 75th percentile over the counted runs, from four runs on.",
    "interval": "A 95 % confidence interval of the median from order statistics, free of any"
    " assumed distribution; it needs six runs.",
    "invalid": "The run did other work than was asked: fewer tokens, a clock that went backwards,"
    " output that is NaN, or degenerate text after a real prompt.",
    "failed": "The run did not finish.",
}
"""How one value comes from many, in words."""


def definitions() -> dict[str, dict[str, Any]]:
    """All metrics as JSON values: title, unit, which way is better, definition."""
    return {
        metric.id: {
            "title": metric.title,
            "unit": metric.unit,
            "better": metric.better,
            "definition": metric.definition,
        }
        for metric in METRICS.values()
    }


def definitions_markdown() -> str:
    """A Markdown table of the metrics and a list of the statistics."""
    lines = ["| Id | Unit | Better | Definition |", "|---|---|---|---|"]
    lines += [
        f"| `{metric.id}` | {metric.unit} | {metric.better} | {metric.definition} |"
        for metric in METRICS.values()
    ]
    lines += ["", *(f"- **{name}**: {text}" for name, text in STATISTICS.items())]
    return "\n".join(lines) + "\n"


_PAGE = f"""# Metrics

What each number of a report is. This page is written from `slmdeploy/bench/metrics.py`; a test
keeps it current. `slmdeploy report --definitions` prints the same.

All times come from one monotonic clock on the device, in nanoseconds; a report shows them in
milliseconds, and bytes in MiB. The board's sensors are read on the same clock, most of them twice a
second, by an agent whose own processor time is in the record. Records and CSV files keep the units
below. A value that could not be had is shown as `{ABSENT}`, with the reason in a footnote.

Records that were imported from other tools have these metrics only where the tool's definition
is the same or its raw stamps allow ours; the clock is then the tool's own, and its resolution is
in the record's notes. They stand in tables of their own (see [android.md](android.md)).

Where the runtime decides while it loads what a delegate takes (LiteRT), a report has a row for it:
`XNNPACK 1478/1485` are the operators in the delegate, of all in the method. After its measurement a
decoder is asked one question, or given the beginning of a text; what it says is a footnote, since
figures of a model that talks nonsense are worth nothing.

"""


def metrics_page() -> str:
    """The whole of ``docs/metrics.md``."""
    return _PAGE + definitions_markdown()
