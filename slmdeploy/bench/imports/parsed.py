"""What a parser of another tool's output gives, and how its figures become our metrics.

A figure becomes one of our metrics only where the definitions agree; else the metric is
``None`` with the reason, and the tool's own figure is kept beside it under the tool's name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from slmdeploy.bench import statistics
from slmdeploy.bench.metrics import METRICS, metrics_for
from slmdeploy.bench.summary import MetricValue
from slmdeploy.errors import UsageError

__all__ = [
    "ImportedWorkload",
    "Parsed",
    "Reading",
    "Scalar",
    "Theirs",
    "decoded",
    "json_of",
    "number",
    "same",
    "unusable",
]

Scalar = int | float | str | None
NOT_THERE = "the imported file does not have it"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImportedWorkload(_Part):
    """What the other tool ran, as far as it says.

    Attributes:
        of: Whether it generated text or ran a method again and again.
        prompt_tokens: Of the prompt; ``None`` where the runs differ or it is not said.
        generated_tokens: As for the prompt.
        runs: Runs of a method; ``None`` if not said.
    """

    kind: Literal["imported"] = "imported"
    of: Literal["generate", "invoke"]
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    runs: int | None = None

    @property
    def key(self) -> str:
        """Short name of the work. Which tokens or inputs they were is not known."""
        if self.of == "invoke":
            return f"imported, {_said(self.runs)} runs"
        prompt, generated = _said(self.prompt_tokens), _said(self.generated_tokens)
        return f"imported, prompt {prompt}, generate {generated}"


class Theirs(_Part):
    """A figure as the tool defines it: name, value, unit, and the definition in words."""

    name: str
    value: float
    unit: str
    definition: str


class Reading(_Part):
    """Values for one of our metrics, one a run, and how they were had."""

    values: tuple[float, ...] = ()
    source: str | None = None
    reason: str | None = None


class Parsed(_Part):
    """One file of another tool.

    Attributes:
        tool: What wrote it.
        workload: What was run.
        runs: Every run: all that the file says of it, as it says it.
        readings: By metric id; what is not named has the reason that the file lacks it.
        theirs: Figures by the tool's own definitions.
        resolution: Of its clock, in words.
        failed: Why the measurement failed, by the tool's own word.
        device: What it says of the device.
        model: What it calls the model.
        notes: What a reader of the numbers should know.
    """

    tool: str
    workload: ImportedWorkload
    runs: tuple[dict[str, Scalar], ...] = Field(min_length=1)
    readings: dict[str, Reading] = Field(default_factory=dict)
    theirs: tuple[Theirs, ...] = ()
    resolution: str | None = None
    failed: str | None = None
    device: str | None = None
    model: str | None = None
    notes: tuple[str, ...] = ()

    def metrics(self) -> dict[str, MetricValue]:
        """All metrics of this kind of workload that are measured, each with value or reason."""
        wanted = [metric.id for metric in metrics_for(self.workload.of) if metric.read]
        return {name: _value(name, self.readings.get(name)) for name in wanted}


def number(value: object) -> float | None:
    """A finite number, else ``None``; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def decoded(data: bytes) -> str:
    """Text of a file; PowerShell writes UTF-16 when it redirects a tool's output."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="replace")


def json_of(text: str) -> Any:
    """The value of a JSON text; ``None`` if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def unusable(what: str, hint: str | None = None) -> UsageError:
    """The error for a file that is not what it should be."""
    return UsageError(f"This is no {what}.", hint=hint)


def _value(name: str, reading: Reading | None) -> MetricValue:
    unit = METRICS[name].unit
    if reading is None or not reading.values:
        reason = NOT_THERE if reading is None or reading.reason is None else reading.reason
        return MetricValue(value=None, unit=unit, n=0, reason=reason)
    values: Sequence[float] = reading.values
    return MetricValue(
        value=statistics.median(values),
        unit=unit,
        n=len(values),
        spread=statistics.spread(values),
        sensor=reading.source,
    )


def _said(count: int | None) -> str:
    return "unknown" if count is None else str(count)


def same(runs: Sequence[Mapping[str, Scalar]], key: str) -> int | None:
    """What all runs say alike, as a count; ``None`` if they differ or one does not say."""
    found = {number(run.get(key)) for run in runs}
    only = found.pop() if len(found) == 1 else None
    return None if only is None or only < 0 else int(only)
