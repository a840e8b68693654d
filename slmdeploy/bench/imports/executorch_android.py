"""Results of ExecuTorch's Android benchmark app (minibench): ``benchmark_results.json``.

Source of the layout: pytorch/executorch ``extension/benchmark/android/benchmark``
(``BenchmarkMetric``, ``BenchmarkActivity``, ``LlmBenchmark``): a list of objects, each with
``benchmarkModel`` (name, backend, quantization), ``metric``, ``actualValue``, ``targetValue`` and
``deviceInfo`` (device, arch, os, totalMem, availMem). The app makes means of its runs itself and
never fills the two fields on memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.bench.imports.executorch_log import THEIR_DECODE
from slmdeploy.bench.imports.parsed import (
    ImportedWorkload,
    Parsed,
    Reading,
    Scalar,
    Theirs,
    decoded,
    json_of,
    number,
    unusable,
)

__all__ = ["is_executorch_android", "parse_executorch_android"]

TOOL = "ExecuTorch Android benchmark app"
_LOADS = ("llm_model_load_time(ms)", "model_load_time(ms)")
_UNITS = {
    "avg_inference_latency(ms)": ("ms", "mean of all runs, the first ones included"),
    "generate_time(ms)": ("ms", "from the call of generate to its end, prefill included"),
    "token_per_sec": ("tokens/s", THEIR_DECODE),
}
_MEAN = "the app gives a mean alone; single runs and their percentiles are not in its file"


def is_executorch_android(value: object) -> bool:
    """Whether a JSON value looks like the app's."""
    return bool(_rows(value))


def parse_executorch_android(data: bytes) -> Parsed:
    """Read a results file.

    Raises:
        UsageError: It is not one.
    """
    rows = _rows(json_of(decoded(data)))
    if not rows:
        raise unusable(
            "results file of ExecuTorch's Android benchmark app: a list of objects with 'metric' "
            "and 'actualValue' was expected",
            hint="The app writes benchmark_results.json; the first version's flat layout "
            "('actual') is not read.",
        )
    values = {str(row["metric"]): _actual(row) for row in rows}
    llm = any(name in values for name in ("token_per_sec", "generate_time(ms)"))
    failed = values.get("load_status")
    return Parsed(
        tool=TOOL,
        workload=ImportedWorkload(of="generate" if llm else "invoke"),
        runs=(values,),
        readings=_readings(values, llm=llm),
        theirs=_theirs(values),
        resolution="nanoseconds, rounded by the app's own means",
        failed=f"the app says load_status {failed:g}" if failed else None,
        device=_device(rows[0]),
        model=_model(rows[0]),
    )


def _rows(value: object) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        return []
    rows = [row for row in value if isinstance(row, dict)]
    return [r for r in rows if isinstance(r.get("metric"), str) and "actualValue" in r]


def _actual(row: Mapping[str, Any]) -> float | None:
    return number(row["actualValue"])


def _readings(values: Mapping[str, float | None], *, llm: bool) -> dict[str, Reading]:
    load = next((values[name] for name in _LOADS if values.get(name)), None)
    readings = {
        "load_ms": Reading(
            values=() if load is None or load <= 0 else (load,),
            source="the app's own load time",
            reason="the app gives no load time",
        )
    }
    if llm:
        readings["decode_tokens_per_s"] = Reading(
            reason="the app's token_per_sec counts the token that prefill gave, and its file has "
            "no stamps to derive ours from"
        )
        return readings
    return readings | {f"latency_p{p}_ms": Reading(reason=_MEAN) for p in (50, 90, 95, 99)}


def _theirs(values: Mapping[str, Scalar]) -> tuple[Theirs, ...]:
    """Zero is what the app writes where it had nothing."""
    found = ((name, number(values.get(name))) for name in _UNITS)
    return tuple(
        Theirs(name=name, value=value, unit=_UNITS[name][0], definition=_UNITS[name][1])
        for name, value in found
        if value is not None and value > 0
    )


def _device(row: Mapping[str, Any]) -> str | None:
    info = row.get("deviceInfo")
    if not isinstance(info, dict):
        return None
    words = [info.get(key) for key in ("device", "arch", "os")]
    return ", ".join(word for word in words if isinstance(word, str) and word) or None


def _model(row: Mapping[str, Any]) -> str | None:
    model = row.get("benchmarkModel")
    name = model.get("name") if isinstance(model, dict) else None
    return name if isinstance(name, str) and name else None
