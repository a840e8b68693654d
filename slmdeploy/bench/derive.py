"""What is computed from one sample: spans, rates and peaks.

Every function gives ``None`` where the sample does not have what it needs; the
definitions in words are in ``metrics``.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from slmdeploy.bench.samples import ProcessSample

__all__ = [
    "decode_tokens_per_s",
    "itl_ns",
    "latency_ns",
    "load_ns",
    "load_ns_by_phase",
    "major_faults",
    "peak_anon_bytes",
    "peak_file_bytes",
    "peak_rss_bytes",
    "prefill_tokens_per_s",
    "start_to_first_token_ns",
    "ttft_ns",
]

_NS = 1e9


def load_ns(sample: ProcessSample) -> int | None:
    """From the runner's start to the end of its last load phase before the first work."""
    work = [chunk.start_ns for chunk in sample.prefill] + [run.start_ns for run in sample.runs]
    ends = [load.end_ns for load in sample.loads if not work or load.end_ns <= work[0]]
    return max(ends) - sample.start.t_ns if ends and sample.start is not None else None


def load_ns_by_phase(sample: ProcessSample) -> dict[str, int]:
    """Time spent in each phase of loading; phases that come twice are added up."""
    spans: dict[str, int] = {}
    for load in sample.loads:
        spans[load.phase] = spans.get(load.phase, 0) + load.end_ns - load.start_ns
    return spans


def ttft_ns(sample: ProcessSample) -> int | None:
    """From the start of the first prefill chunk to the first token."""
    if not sample.prefill or not sample.tokens:
        return None
    return sample.tokens[0].t_ns - sample.prefill[0].start_ns


def start_to_first_token_ns(sample: ProcessSample) -> int | None:
    """From the runner's start to the first token, loading included."""
    if sample.start is None or not sample.tokens:
        return None
    return sample.tokens[0].t_ns - sample.start.t_ns


def prefill_tokens_per_s(sample: ProcessSample) -> float | None:
    """Prompt tokens by the time from the first chunk's start to the last one's end.

    Positions are counted, not what was fed: a chunk that feeds earlier tokens again
    does not make the rate better.
    """
    if not sample.prefill:
        return None
    first = min(chunk.position for chunk in sample.prefill)
    last = max(chunk.position + chunk.tokens for chunk in sample.prefill)
    span_ns = sample.prefill[-1].end_ns - sample.prefill[0].start_ns
    return (last - first) * _NS / span_ns if span_ns > 0 else None


def itl_ns(sample: ProcessSample) -> tuple[int, ...]:
    """Differences of successive token stamps: one fewer than tokens."""
    stamps = [token.t_ns for token in sample.tokens]
    return tuple(after - before for before, after in pairwise(stamps))


def decode_tokens_per_s(sample: ProcessSample) -> float | None:
    """``(n - 1) / (t_last - t_first)`` over the n generated tokens."""
    span_ns = sum(itl_ns(sample))
    return (len(sample.tokens) - 1) * _NS / span_ns if span_ns > 0 else None


def latency_ns(sample: ProcessSample) -> tuple[int, ...]:
    """Length of each timed run."""
    return tuple(run.end_ns - run.start_ns for run in sample.runs)


def peak_rss_bytes(sample: ProcessSample) -> int | None:
    """The kernel's high-water mark of the resident set."""
    return _largest(stamp.peak_rss_bytes for stamp in sample.memory)


def peak_anon_bytes(sample: ProcessSample) -> int | None:
    """Most anonymous memory seen at the end of a phase."""
    return _largest(stamp.anon_bytes for stamp in sample.memory)


def peak_file_bytes(sample: ProcessSample) -> int | None:
    """Most file-backed memory seen at the end of a phase."""
    return _largest(stamp.file_bytes for stamp in sample.memory)


def major_faults(sample: ProcessSample) -> int | None:
    """Major page faults of the whole process."""
    return _largest(stamp.major_faults for stamp in sample.memory)


def _largest(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None
