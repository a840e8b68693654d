"""The measurement protocol: a warm-up, then N independent processes, one after another.

The process is the unit: tokens of one process share its luck with memory and clocks.
Every sample is kept; only valid timed ones are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from slmdeploy.bench.board_notes import board_notes
from slmdeploy.bench.observing import Observe
from slmdeploy.bench.samples import ProcessSample, Role, failed_sample, sample_of
from slmdeploy.bench.summary import MetricValue, counted, summarize
from slmdeploy.bench.validity import judge_generate, judge_invoke
from slmdeploy.bench.workload import GenerateWorkload, InvokeWorkload, Workload
from slmdeploy.errors import (
    AuthError,
    ConnectError,
    DeviceError,
    HostKeyError,
    UsageError,
)
from slmdeploy.runtime.protocol import Event, GenerateRequest, InvokeRequest, Runner
from slmdeploy.verify.degenerate import non_finite

__all__ = ["SPREAD_LIMIT", "Measurement", "Progress", "Status", "measure", "measure_invoke"]

SPREAD_LIMIT = 0.05
"""A larger spread of the speed over processes is said to be unreliable."""

Status = Literal["valid", "invalid", "failed"]
Progress = Callable[[int, int, ProcessSample], None]
"""Called after each process with (processes done, in all, its sample)."""

_AWAY = (ConnectError, HostKeyError, AuthError)


@dataclass(frozen=True)
class Measurement:
    """What a measurement gave.

    Attributes:
        workload: What was run.
        threads: Worker threads that were asked for; ``None`` for the runner's choice.
        samples: Warm-ups and timed processes in the order in which they ran.
        summary: One value per metric, over the valid timed samples.
        status: ``valid`` if any timed sample counts; else ``invalid`` if one at least
            finished, else ``failed``.
        reason: Why it is not valid.
        notes: What a reader of the numbers should know.
    """

    workload: Workload
    threads: int | None
    samples: tuple[ProcessSample, ...]
    summary: dict[str, MetricValue]
    status: Status
    reason: str | None
    notes: tuple[str, ...]


def measure(
    runner: Runner,
    workload: GenerateWorkload,
    *,
    processes: int = 5,
    warmup: int = 1,
    threads: int | None = None,
    progress: Progress | None = None,
    observe: Observe | None = None,
) -> Measurement:
    """Measure a decoder.

    Args:
        runner: Starts one process on the device per call.
        workload: The token trace.
        processes: Timed processes.
        warmup: Processes before them, which are kept and not counted.
        threads: Worker threads.
        progress: Told after each process.
        observe: Adds what the board's sensors said.

    Returns:
        The measurement; a process that failed is a sample with its reason. After a
        failed warm-up, or when the device is away, no more are started.

    Raises:
        UsageError: ``processes`` below 1 or ``warmup`` below 0.
    """
    request = GenerateRequest(
        prompt=workload.prompt, max_new=workload.generate, stop_ids=(), threads=threads
    )

    def run(role: Role, index: int) -> tuple[ProcessSample, bool]:
        events: list[Event] = []
        try:
            events.extend(runner.generate(request))  # what came before an error stays
        except DeviceError as error:
            failed = failed_sample(
                _said(error), kind="generate", role=role, index=index, events=events
            )
            return failed, isinstance(error, _AWAY)
        sample = sample_of(events, kind="generate", role=role, index=index)
        return judge_generate(sample, workload), False

    samples = _run_all(run, processes, warmup, progress, observe)
    return _measurement(workload, threads, samples)


def measure_invoke(
    runner: Runner,
    workload: InvokeWorkload,
    inputs: Sequence[npt.NDArray[Any]],
    *,
    processes: int = 5,
    warmup: int = 1,
    threads: int | None = None,
    progress: Progress | None = None,
    observe: Observe | None = None,
) -> Measurement:
    """Measure a method of a generic model; arguments and result as for ``measure``.

    Args:
        runner: Starts one process on the device per call.
        workload: Method, timed runs and warm-up runs within each process.
        inputs: What ``workload`` was made of.
        processes: Timed processes.
        warmup: Processes before them.
        threads: Worker threads.
        progress: Told after each process.
        observe: Adds what the board's sensors said.

    Raises:
        UsageError: ``processes`` below 1 or ``warmup`` below 0.
    """
    request = InvokeRequest(
        method=workload.method,
        inputs=tuple(inputs),
        runs=workload.runs,
        warmup=workload.warmup,
        threads=threads,
    )

    def run(role: Role, index: int) -> tuple[ProcessSample, bool]:
        try:
            outputs, events = runner.invoke(request)
        except DeviceError as error:
            failed = failed_sample(_said(error), kind="invoke", role=role, index=index)
            return failed, isinstance(error, _AWAY)
        sample = sample_of(events, kind="invoke", role=role, index=index)
        return judge_invoke(sample, workload, _output_fault(outputs)), False

    samples = _run_all(run, processes, warmup, progress, observe)
    return _measurement(workload, threads, samples)


def _said(error: DeviceError) -> str:
    """What was wrong and what to do, in a line."""
    return error.message if error.hint is None else f"{error.message} {error.hint}"


def _run_all(
    run: Callable[[Role, int], tuple[ProcessSample, bool]],
    processes: int,
    warmup: int,
    progress: Progress | None,
    observe: Observe | None,
) -> tuple[ProcessSample, ...]:
    if processes < 1 or warmup < 0:
        raise UsageError(
            f"{processes} runs after {warmup} warm-ups cannot be measured.",
            hint="Give --runs 1 or more.",
        )
    plan: list[tuple[Role, int]] = [("warmup", i) for i in range(warmup)]
    plan += [("timed", i) for i in range(processes)]
    samples: list[ProcessSample] = []
    for role, index in plan:
        sample, away = run(role, index)
        samples.append(sample)
        if progress is not None:
            progress(len(samples), len(plan), sample)
        if away or (role == "warmup" and sample.outcome == "failed"):
            break
    return tuple(samples) if observe is None else observe(tuple(samples))


def _measurement(
    workload: Workload, threads: int | None, samples: tuple[ProcessSample, ...]
) -> Measurement:
    status = _status(samples)
    summary = summarize(samples, workload.kind)
    return Measurement(
        workload=workload,
        threads=threads,
        samples=samples,
        summary=summary,
        status=status,
        reason=None if status == "valid" else _first_reason(samples),
        notes=_notes(samples, summary),
    )


def _output_fault(outputs: Sequence[npt.NDArray[Any]]) -> str | None:
    """What is wrong with the outputs of a method; integers cannot be NaN."""
    floats = [array for array in outputs if np.issubdtype(array.dtype, np.floating)]
    fault = next((reason for reason in map(non_finite, floats) if reason), None)
    return None if fault is None else f"the output is not finite: {fault}"


def _status(samples: Sequence[ProcessSample]) -> Status:
    if counted(samples):
        return "valid"
    return "invalid" if any(s.outcome == "invalid" for s in samples) else "failed"


def _first_reason(samples: Sequence[ProcessSample]) -> str:
    first = next((sample for sample in samples if sample.outcome != "ok"), None)
    if first is None or first.reason is None:
        return "no run finished"
    return first.reason if first.role == "timed" else f"the warm-up failed: {first.reason}"


def _notes(samples: Sequence[ProcessSample], summary: dict[str, MetricValue]) -> tuple[str, ...]:
    timed = [sample for sample in samples if sample.role == "timed"]
    lost = [sample for sample in timed if sample.outcome != "ok"]
    notes = dict.fromkeys(note for sample in timed for note in sample.notes)
    if lost and len(lost) < len(timed):
        notes[f"{len(lost)} of {len(timed)} runs not counted: {lost[0].reason}"] = None
    for metric in ("decode_tokens_per_s", "prefill_tokens_per_s"):
        spread = summary[metric].spread if metric in summary else None
        if spread is not None and spread > SPREAD_LIMIT:
            notes[f"unreliable: {metric} spreads over {spread:.0%} of its median"] = None
    return (*notes, *board_notes(samples))
