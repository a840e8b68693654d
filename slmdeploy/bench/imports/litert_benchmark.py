"""The text that LiteRT's (TensorFlow Lite's) ``benchmark_model`` prints.

Source of the layout: published outputs of the tool, and its page
https://ai.google.dev/edge/litert/models/measurement. Three lines are read::

    count=50 first=266601 curr=266931 min=265837 max=268116 avg=266473 std=419
    Inference timings in us: Init: 20283, First inference: 339304, Warmup (avg): ..., Inference ...
    Memory footprint delta from the start of the tool (MB): init=6.7 overall=63.4

All times are microseconds. Newer versions add ``p5=``, ``median=`` and ``p95=`` to the first
line. The first ``count`` line is the warm-up's, the last one the timed runs'.
"""

from __future__ import annotations

import re

from slmdeploy.bench import statistics
from slmdeploy.bench.imports.parsed import (
    ImportedWorkload,
    Parsed,
    Reading,
    Scalar,
    Theirs,
    decoded,
    number,
    unusable,
)

__all__ = ["MARK", "parse_litert_benchmark"]

MARK = "Inference timings in us:"
TOOL = "LiteRT benchmark_model"
_NUMBER = r"([0-9]{1,18}(?:\.[0-9]{1,9})?(?:e\+?[0-9]{1,2})?)"
_TIMING = re.compile(rf"(Init|First inference|Warmup \(avg\)|Inference \(avg\)): {_NUMBER}")
_COUNT = re.compile(r"^.*\bcount=[0-9]+ .*$", re.MULTILINE)
_FIELD = re.compile(rf"\b([a-z0-9]+)={_NUMBER}(?=\s|$)")
_MEMORY = re.compile(rf"\(MB\): init={_NUMBER} overall={_NUMBER}")
_GRAPH = re.compile(r"Graph: \[([^\]\n]{1,300})\]")
_MEAN = "this version of the tool prints a mean of the runs, and no percentiles"


def parse_litert_benchmark(data: bytes) -> Parsed:
    """Read what the tool printed.

    Raises:
        UsageError: The line with the timings is not there.
    """
    text = decoded(data)
    line = next((line for line in text.splitlines() if MARK in line), "")
    timings = {name: float(value) for name, value in _TIMING.findall(line)}
    if not timings:
        raise unusable(
            f"output of LiteRT's benchmark_model: no line begins with {MARK!r}",
            hint="Keep all that it prints: benchmark_model --graph=model.tflite 2>&1 | tee run.log",
        )
    counts = [_fields(found) for found in _COUNT.findall(text)]
    timed = counts[-1] if counts else {}
    warmup = counts[0] if len(counts) > 1 else {}
    graph = _GRAPH.search(text)
    runs: dict[str, Scalar] = {
        **{f"{name} (us)": value for name, value in timings.items()},
        **{f"timed {name}": value for name, value in timed.items()},
        **{f"warm-up {name}": value for name, value in warmup.items()},
    }
    count = timed.get("count")
    return Parsed(
        tool=TOOL,
        workload=ImportedWorkload(of="invoke", runs=None if count is None else int(count)),
        runs=(runs,),
        readings=_readings(timings, timed),
        theirs=_theirs(timings, text),
        resolution="microseconds",
        model=graph[1] if graph else None,
        notes=("the tool keeps no single run, only a summary of them",),
    )


def _fields(line: str) -> dict[str, float]:
    return {name: float(value) for name, value in _FIELD.findall(line)}


def _readings(timings: dict[str, float], timed: dict[str, float]) -> dict[str, Reading]:
    init, count = timings.get("Init"), timed.get("count", 0)
    readings = {
        "load_ms": Reading(
            values=() if init is None else (init / 1e3,),
            source="the tool's Init",
            reason="the tool gives no Init",
        ),
        "peak_rss_bytes": Reading(
            reason="the tool tells how much the footprint grew, not the peak of the process"
        ),
    }
    printed = {50: "median", 90: "p90", 95: "p95", 99: "p99"}
    for percent, name in printed.items():
        value, needed = timed.get(name), statistics.values_needed(percent / 100)
        lacking = f"the tool prints no {name}" if "median" in timed else _MEAN
        enough = value is not None and count >= needed
        readings[f"latency_p{percent}_ms"] = Reading(
            values=(value / 1e3,) if enough and value is not None else (),
            source=f"the tool's {name} of {count:g} runs",
            reason=lacking if value is None else f"p{percent} needs {needed} values",
        )
    return readings


def _theirs(timings: dict[str, float], text: str) -> tuple[Theirs, ...]:
    found = [
        Theirs(
            name=name,
            value=timings[name] / 1e3,
            unit="ms",
            definition=definition,
        )
        for name, definition in _DEFINITIONS.items()
        if name in timings
    ]
    memory = _MEMORY.search(text)
    overall = number(float(memory[2])) if memory else None
    if overall is not None:
        found.append(
            Theirs(
                name="memory footprint delta, overall",
                value=overall,
                unit="MB",
                definition="growth of the process since the tool's start, which the tool itself "
                "calls approximate",
            )
        )
    return tuple(found)


_DEFINITIONS = {
    "First inference": "the first run of all, in the warm-up",
    "Warmup (avg)": "mean of the warm-up runs",
    "Inference (avg)": "mean of the timed runs",
}
