"""Whether a finished process did the work that was asked.

A rate of garbage is no rate: a run that gave fewer tokens, whose clock went
backwards or whose output is no output stays as a sample and is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, takewhile

from slmdeploy.bench.samples import ProcessSample
from slmdeploy.bench.workload import GenerateWorkload, InvokeWorkload
from slmdeploy.verify.degenerate import degenerate

__all__ = ["judge_generate", "judge_invoke"]


def judge_generate(sample: ProcessSample, workload: GenerateWorkload) -> ProcessSample:
    """Give the sample its outcome; one that failed is left as it is.

    Degenerate output after a real text makes it invalid. After a synthetic prompt it
    is a note only: a healthy model, too, may answer random tokens with a loop.
    """
    if sample.outcome == "failed":
        return sample
    reason = _too_short(sample, workload.generate) or _backwards(
        [token.t_ns for token in sample.tokens]
    )
    fault = degenerate(_before_stop(sample, workload.stop_ids))
    if reason is None and fault is not None and workload.source == "text":
        reason = f"degenerate output: {fault}"
    if reason is not None:
        return sample.model_copy(update={"outcome": "invalid", "reason": reason})
    notes = () if fault is None else (f"after the synthetic prompt: {fault}",)
    return sample.model_copy(update={"notes": (*sample.notes, *notes)})


def judge_invoke(
    sample: ProcessSample, workload: InvokeWorkload, output_fault: str | None
) -> ProcessSample:
    """Give the sample its outcome; ``output_fault`` says what is wrong with its outputs."""
    if sample.outcome == "failed":
        return sample
    reason = output_fault
    if len(sample.runs) != workload.runs:
        reason = f"{len(sample.runs)} timed runs, {workload.runs} were asked for"
    reason = reason or _backwards([t for run in sample.runs for t in (run.start_ns, run.end_ns)])
    return sample.model_copy(update={"outcome": "invalid", "reason": reason}) if reason else sample


def _too_short(sample: ProcessSample, wanted: int) -> str | None:
    if len(sample.tokens) == wanted:
        return None
    ended = f" (ended: {sample.ended})" if sample.ended else ""
    return f"{len(sample.tokens)} tokens, {wanted} were asked for{ended}"


def _backwards(stamps: Sequence[int]) -> str | None:
    place = next((i for i, (a, b) in enumerate(pairwise(stamps), start=1) if b < a), None)
    return None if place is None else f"the clock goes backwards at stamp {place}"


def _before_stop(sample: ProcessSample, stop_ids: Sequence[int]) -> list[int]:
    """The ids up to where the text would have ended."""
    return list(takewhile(lambda token: token not in stop_ids, (t.id for t in sample.tokens)))
