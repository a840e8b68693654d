"""The table of metrics: what each number is, in which unit, and which way is better.

``docs/metrics.md`` is written from it (a test keeps it so), and
``slmdeploy report --definitions`` prints it.
"""

from __future__ import annotations

from typing import Literal

from slmdeploy.bench import derive
from slmdeploy.bench.board_metrics import BOARD_METRICS
from slmdeploy.bench.metric import Metric, Read, Workloads, many_ms, one
from slmdeploy.errors import UnknownNameError

__all__ = ["METRICS", "Metric", "get_metric", "metrics_for"]

_MS = 1e-6
_TIMES = (
    Metric(
        id="load_ms",
        title="Load",
        unit="ms",
        better="lower",
        workloads="both",
        definition="From the runner's first event to the end of its last load phase: program,"
        " kernel libraries, methods. Starting the process itself is not in it.",
        read=one(derive.load_ns, _MS),
    ),
    Metric(
        id="ttft_ms",
        title="TTFT",
        unit="ms",
        better="lower",
        workloads="generate",
        definition="Time to first token: from the start of the first prefill chunk to the first"
        " generated token. Loading is not in it.",
        read=one(derive.ttft_ns, _MS),
    ),
    Metric(
        id="start_to_first_token_ms",
        title="Start to first token",
        unit="ms",
        better="lower",
        workloads="generate",
        definition="From the runner's first event to the first generated token: what a user waits"
        " for who starts the program for one question.",
        read=one(derive.start_to_first_token_ns, _MS),
    ),
)
_RATES = (
    Metric(
        id="prefill_tokens_per_s",
        title="Prefill",
        unit="tokens/s",
        better="higher",
        workloads="generate",
        definition="Tokens of the prompt by the time from the start of the first prefill chunk to"
        " the end of the last. Padding and tokens that are fed twice do not count.",
        read=one(derive.prefill_tokens_per_s),
    ),
    Metric(
        id="decode_tokens_per_s",
        title="Decode",
        unit="tokens/s",
        better="higher",
        workloads="generate",
        definition="(n - 1) / (t_last - t_first) over the n generated tokens of a process: the"
        " first token belongs to TTFT.",
        read=one(derive.decode_tokens_per_s),
    ),
)


def _quantiles(name: str, title: str, workloads: Workloads, what: str, read: Read) -> list[Metric]:
    return [
        Metric(
            id=f"{name}_p{percent}_ms",
            title=f"{title} p{percent}",
            unit="ms",
            better="lower",
            workloads=workloads,
            definition=f"The {percent}th percentile of {what}, those of all counted processes"
            " pooled.",
            read=read,
            q=percent / 100,
        )
        for percent in (50, 90, 95, 99)
    ]


_ITL = _quantiles(
    "itl",
    "ITL",
    "generate",
    "the inter-token latencies (differences of successive token stamps)",
    many_ms(derive.itl_ns),
)
_LATENCY = _quantiles(
    "latency",
    "Latency",
    "invoke",
    "the lengths of the timed runs",
    many_ms(derive.latency_ns),
)
_MEMORY = (
    Metric(
        id="peak_rss_bytes",
        title="Peak RSS",
        unit="bytes",
        better="lower",
        workloads="both",
        definition="The largest resident set of the process, by the kernel's high-water mark"
        " (VmHWM): anonymous and file-backed memory together.",
        read=one(derive.peak_rss_bytes),
    ),
    Metric(
        id="peak_anon_bytes",
        title="Anonymous",
        unit="bytes",
        better="lower",
        workloads="both",
        definition="The most anonymous resident memory (RssAnon) at the end of a phase: weights"
        " that were copied or repacked, cache, work space. It cannot be given back under"
        " pressure. A peak within a phase is not seen.",
        read=one(derive.peak_anon_bytes),
    ),
    Metric(
        id="peak_file_bytes",
        title="File-backed",
        unit="bytes",
        better="lower",
        workloads="both",
        definition="The most file-backed resident memory (RssFile) at the end of a phase: mapped"
        " weights and code, which the kernel may drop and read again. A peak within a phase is"
        " not seen.",
        read=one(derive.peak_file_bytes),
    ),
    Metric(
        id="major_faults",
        title="Major faults",
        unit="count",
        better="lower",
        workloads="both",
        definition="Page faults of the process that had to read from a disk; many mean a cold"
        " page cache or too little memory.",
        read=one(derive.major_faults),
    ),
)
_SIZES = (
    Metric(
        id="artifact_bytes",
        title="Artifact",
        unit="bytes",
        better="lower",
        workloads="both",
        definition="Size of the runtime's file.",
    ),
    Metric(
        id="bundle_bytes",
        title="Bundle",
        unit="bytes",
        better="lower",
        workloads="both",
        definition="Size of all files of the bundle: artifact, tokenizer, golden vectors, licence."
        " Not all of it is sent to a device.",
    ),
)

_QUALITY = (
    Metric(
        id="accuracy_percent",
        title="Accuracy",
        unit="%",
        better="higher",
        workloads="invoke",
        definition="Share of the labelled texts of the bundle whose class has the largest logit, by"
        " the artifact on the device.",
    ),
    Metric(
        id="source_accuracy_percent",
        title="Source's accuracy",
        unit="%",
        better="higher",
        workloads="invoke",
        definition="The same share by the model before compression, in float32 on the host that"
        " made the bundle.",
    ),
    Metric(
        id="calibration_error_percent",
        title="Calibration error",
        unit="%",
        better="lower",
        workloads="invoke",
        definition="Expected calibration error over ten bins of equal width: how far the largest"
        " probability lies from the share of right answers, on the same texts.",
    ),
)

METRICS: dict[str, Metric] = {
    metric.id: metric
    for metric in (*_TIMES, *_RATES, *_ITL, *_LATENCY, *_MEMORY, *BOARD_METRICS, *_QUALITY, *_SIZES)
}
"""All metrics by id, in the order of reports."""


def get_metric(metric_id: str) -> Metric:
    """The metric with that id.

    Raises:
        UnknownNameError: There is none.
    """
    if metric_id not in METRICS:
        raise UnknownNameError("metric", metric_id, METRICS)
    return METRICS[metric_id]


def metrics_for(kind: Literal["generate", "invoke"]) -> tuple[Metric, ...]:
    """The metrics that a workload of this kind gives."""
    return tuple(metric for metric in METRICS.values() if metric.workloads in (kind, "both"))
