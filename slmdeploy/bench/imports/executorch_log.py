"""The log of ExecuTorch's LLM runner: a line ``PyTorchObserver {json}`` for each answer.

Source of the layout: pytorch/executorch ``extension/llm/runner/stats.h``
(``stats_to_json_string``, ``print_report``); the lines on memory are those of
``extension/llm/runner/text_llm_runner.cpp``. Stamps are whole milliseconds. Rates are in the JSON
only since 2026-03, so they are derived here from the stamps, by the tool's definitions and ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from slmdeploy.bench import statistics
from slmdeploy.bench.imports.parsed import (
    ImportedWorkload,
    Parsed,
    Reading,
    Scalar,
    Theirs,
    decoded,
    json_of,
    number,
    same,
    unusable,
)

__all__ = ["MARK", "THEIR_DECODE", "parse_executorch_log"]

MARK = "PyTorchObserver"
TOOL = "ExecuTorch LLM runner"
THEIR_DECODE = (
    "generated_tokens / (inference_end_ms - prompt_eval_end_ms); counts the token that prefill gave"
)
"""How ExecuTorch's tools define their decode rate, in words."""
# A prefix of logcat or of ET_LOG may stand before it.
_LINE = re.compile(rf"{MARK}\s+(\{{.*\}})")
_RSS = re.compile(r"RSS after ([a-z ]{1,60}):\s+([0-9.]{1,20}) MiB")
_MIB = 1 << 20

_TOKENIZED = (
    "the tool's window begins before the prompt is tokenized, ours at the first prefill chunk"
)
_DECODE = "the log lacks first_token_ms, inference_end_ms or enough tokens for our definition"

Run = Mapping[str, Scalar]


def parse_executorch_log(data: bytes) -> Parsed:
    """Read a log.

    Raises:
        UsageError: No line of it is an observer's.
    """
    text = decoded(data)
    runs = [run for run in map(_run, _LINE.findall(text)) if run]
    if not runs:
        raise unusable(
            "log of ExecuTorch's LLM runner: no line has 'PyTorchObserver {...}' with numbers",
            hint="Keep the runner's whole stdout, as in: llama_main ... | tee run.log",
        )
    return Parsed(
        tool=TOOL,
        workload=ImportedWorkload(
            of="generate",
            prompt_tokens=same(runs, "prompt_tokens"),
            generated_tokens=same(runs, "generated_tokens"),
        ),
        runs=tuple(runs),
        readings=_readings(runs, text),
        theirs=_theirs(runs),
        resolution="whole milliseconds",
        notes=("no run is taken for a warm-up: the log does not say which is one",),
    )


def _run(text: str) -> dict[str, Scalar]:
    found = json_of(text)
    if not isinstance(found, dict):
        return {}
    return {str(key): value for key, value in found.items() if number(value) is not None}


def _readings(runs: Sequence[Run], text: str) -> dict[str, Reading]:
    loads = _each(runs, lambda run: _span(run, "model_load_start_ms", "model_load_end_ms"))
    rates = _each(runs, _decode)
    no_stamps = Reading(reason="the log has no stamp for each token")
    return {
        "load_ms": Reading(
            values=loads,
            source="model_load_end_ms - model_load_start_ms, whole milliseconds",
            reason="the log has no load stamps",
        ),
        "ttft_ms": Reading(reason=_TOKENIZED),
        "start_to_first_token_ms": Reading(reason="the log does not say when the runner began"),
        "prefill_tokens_per_s": Reading(reason=_TOKENIZED),
        "decode_tokens_per_s": Reading(
            values=rates,
            source="by our definition from the log's stamps: (generated_tokens - 1) / "
            "(inference_end_ms - first_token_ms), whole milliseconds; the end of the loop stands "
            "for the last token",
            reason=_DECODE,
        ),
        **{f"itl_p{percent}_ms": no_stamps for percent in (50, 90, 95, 99)},
        "peak_rss_bytes": _peak(text),
    }


def _peak(text: str) -> Reading:
    """The largest resident set that a log line tells: ``getrusage``'s ``ru_maxrss``."""
    found = [float(size) for _, size in _RSS.findall(text) if size.count(".") <= 1 and size != "."]
    largest = max(found, default=0.0)
    if largest <= 0:  # the runner's own word for "unsupported" is 0
        return Reading(reason="no line 'RSS after ...' has a value")
    return Reading(values=(largest * _MIB,), source="getrusage ru_maxrss, from the log's lines")


def _theirs(runs: Sequence[Run]) -> tuple[Theirs, ...]:
    rows: tuple[tuple[str, str, str, Callable[[Run], float | None]], ...] = (
        (
            "prefill_token_per_sec",
            "tokens/s",
            "prompt_tokens / (prompt_eval_end_ms - inference_start_ms); tokenizing is in it",
            lambda run: _rate(run, "prompt_tokens", "inference_start_ms", "prompt_eval_end_ms"),
        ),
        (
            "decode_token_per_sec",
            "tokens/s",
            THEIR_DECODE,
            lambda run: _rate(run, "generated_tokens", "prompt_eval_end_ms", "inference_end_ms"),
        ),
        (
            "time_to_first_token_ms",
            "ms",
            "first_token_ms - inference_start_ms; tokenizing is in it",
            lambda run: _span(run, "inference_start_ms", "first_token_ms"),
        ),
    )
    found = ((name, unit, text, _each(runs, read)) for name, unit, text, read in rows)
    return tuple(
        Theirs(name=name, value=statistics.median(values), unit=unit, definition=text)
        for name, unit, text, values in found
        if values
    )


def _each(runs: Sequence[Run], read: Callable[[Run], float | None]) -> tuple[float, ...]:
    return tuple(value for value in map(read, runs) if value is not None)


def _span(run: Run, begin: str, end: str) -> float | None:
    """Milliseconds between two stamps; a stamp of 0 was never taken."""
    first, last = number(run.get(begin)), number(run.get(end))
    if not first or not last or last < first:
        return None
    return number(last - first)


def _rate(run: Run, count: str, begin: str, end: str) -> float | None:
    tokens, span = number(run.get(count)), _span(run, begin, end)
    return None if not tokens or tokens < 0 or not span else number(tokens * 1000.0 / span)


def _decode(run: Run) -> float | None:
    tokens, span = number(run.get("generated_tokens")), _span(run, *_DECODE_STAMPS)
    return None if tokens is None or tokens < 2 or not span else number((tokens - 1) * 1000 / span)


_DECODE_STAMPS = ("first_token_ms", "inference_end_ms")
