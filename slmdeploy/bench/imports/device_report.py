"""A report in our own form, ``slmdeploy/device-report/1``: what an app of yours measured.

Core ML's numbers on a phone come from Xcode's performance report, whose file Apple documents
nowhere, or from an app. This is the form for both: an app prints it, or a person writes down
the medians that Xcode shows. The fields are described in ``docs/device-report.md``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slmdeploy.bench import statistics
from slmdeploy.bench.imports.parsed import (
    ImportedWorkload,
    Parsed,
    Reading,
    Scalar,
    Theirs,
    decoded,
    json_of,
    unusable,
)

__all__ = ["SCHEMA", "is_device_report", "parse_device_report"]

SCHEMA = "slmdeploy/device-report/1"

_Milliseconds = Annotated[float, Field(ge=0, lt=1e9, allow_inf_nan=False)]
_PERCENTILES = (50, 90, 95, 99)


class _Report(BaseModel):
    """See ``docs/device-report.md``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["slmdeploy/device-report/1"] = Field(alias="schema")
    tool: str = Field(min_length=1, max_length=100)
    device: str | None = Field(default=None, max_length=200)
    model: str | None = Field(default=None, max_length=200)
    function: str | None = Field(default=None, max_length=100)
    compute_units: str | None = Field(default=None, max_length=100)
    warmup: int = Field(default=0, ge=0, lt=1 << 31)
    load_ms: tuple[_Milliseconds, ...] = Field(default=(), max_length=100_000)
    prediction_ms: tuple[_Milliseconds, ...] = Field(default=(), max_length=1_000_000)
    median_compile_ms: _Milliseconds | None = None
    median_load_ms: _Milliseconds | None = None
    median_prediction_ms: _Milliseconds | None = None


def is_device_report(value: object) -> bool:
    """Whether a JSON value says that it is one, of whichever version."""
    name = value.get("schema") if isinstance(value, dict) else None
    return isinstance(name, str) and name.startswith("slmdeploy/device-report/")


def parse_device_report(data: bytes) -> Parsed:
    """Read a report.

    Raises:
        UsageError: It is none, or a field in it is wrong.
    """
    value = json_of(decoded(data))
    if not is_device_report(value):
        raise unusable(
            f"device report: an object with schema {SCHEMA!r} was expected",
            hint="Its fields are described in docs/device-report.md.",
        )
    try:
        report = _Report.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise unusable(
            f"device report of a known form: {where or 'report'}: {first['msg']}",
            hint="Its fields are described in docs/device-report.md.",
        ) from error
    return _parsed(report)


def _parsed(report: _Report) -> Parsed:
    count = len(report.prediction_ms)
    return Parsed(
        tool=report.tool,
        workload=ImportedWorkload(of="invoke", runs=count or None),
        runs=_runs(report),
        readings=_readings(report),
        theirs=_theirs(report),
        resolution="as the tool's clock has it",
        device=report.device,
        model=report.model,
        notes=(
            f"function: {report.function or 'not said'}",
            f"compute units: {report.compute_units or 'not said'}",
        ),
    )


def _runs(report: _Report) -> tuple[dict[str, Scalar], ...]:
    """Every load and every timed call, after what is said of them all."""
    said: dict[str, Scalar] = {
        "function": report.function,
        "compute_units": report.compute_units,
        "warmup": report.warmup,
        **_medians(report),
    }
    loads: list[dict[str, Scalar]] = [{"load_ms": value} for value in report.load_ms]
    calls: list[dict[str, Scalar]] = [{"prediction_ms": value} for value in report.prediction_ms]
    return ({key: value for key, value in said.items() if value is not None}, *loads, *calls)


def _medians(report: _Report) -> dict[str, float | None]:
    return {
        "median_compile_ms": report.median_compile_ms,
        "median_load_ms": report.median_load_ms,
        "median_prediction_ms": report.median_prediction_ms,
    }


def _readings(report: _Report) -> dict[str, Reading]:
    readings = {
        "load_ms": Reading(
            values=report.load_ms,
            source="the tool's own load times",
            reason="the report has no single load times (load_ms)",
        )
    }
    calls = report.prediction_ms
    for percent in _PERCENTILES:
        found = statistics.supported_quantile(calls, percent / 100) if calls else None
        needed = statistics.values_needed(percent / 100)
        readings[f"latency_p{percent}_ms"] = Reading(
            values=() if found is None else (found,),
            source=f"{len(calls)} timed calls of the tool",
            reason=f"p{percent} needs {needed} timed calls (prediction_ms)",
        )
    return readings


def _theirs(report: _Report) -> tuple[Theirs, ...]:
    """Medians that the tool shows: of how many runs, and with how many before, it does not say."""
    return tuple(
        Theirs(name=name, value=value, unit="ms", definition="a median that the tool shows")
        for name, value in _medians(report).items()
        if value is not None
    )
