from __future__ import annotations

import pytest

from slmdeploy.bench.metrics import METRICS
from slmdeploy.bench.samples import failed_sample, sample_of
from slmdeploy.bench.summary import MetricValue, counted, size_values, summarize

from .traces import MIB, generation, invocation


def sample(events, role="timed", kind="generate", **update):
    return sample_of(events, kind=kind, role=role, index=0).model_copy(update=update)


def processes(*latencies_ms, tokens=8):
    return [sample(generation([latency] * (tokens - 1))) for latency in latencies_ms]


def test_a_value_is_the_median_over_processes_with_its_spread():
    value = summarize(processes(10.0, 12.5, 8.0), "generate")["decode_tokens_per_s"]
    assert value.value == pytest.approx(100.0)
    assert value.n == 3
    assert value.spread == pytest.approx((125 - 80) / 100)
    assert value.quartiles is None
    assert value.interval is None


def test_six_processes_have_quartiles_and_an_interval():
    value = summarize(processes(*[10.0] * 5, 20.0), "generate")["decode_tokens_per_s"]
    assert value.quartiles == pytest.approx((100.0, 100.0))
    assert value.interval == pytest.approx((50.0, 100.0))


def test_warm_ups_and_failed_and_invalid_runs_never_enter_a_median():
    slow = generation([1000.0] * 7)
    others = [
        sample(slow, role="warmup"),
        sample(slow, outcome="invalid", reason="short"),
        failed_sample("killed", kind="generate", role="timed", index=1, events=slow),
    ]
    mixed = [*others, *processes(10.0, 10.0)]
    assert len(counted(mixed)) == 2
    assert summarize(mixed, "generate") == summarize(processes(10.0, 10.0), "generate")


def test_latencies_are_pooled_and_a_tail_without_support_is_none_with_a_reason():
    summary = summarize(processes(10.0, 20.0, tokens=9), "generate")
    assert summary["itl_p50_ms"].value == pytest.approx(15.0)
    assert summary["itl_p50_ms"].n == 16
    assert summary["itl_p90_ms"].value == pytest.approx(20.0)
    assert summary["itl_p95_ms"] == MetricValue(
        value=None, unit="ms", n=16, reason="p95 needs 20 values"
    )
    assert summary["itl_p99_ms"].reason == "p99 needs 100 values"


def test_what_the_runner_did_not_say_is_none_with_a_reason():
    events = [event for event in generation() if event.kind != "memory"]
    value = summarize([sample(events)], "generate")["peak_rss_bytes"]
    assert (value.value, value.n) == (None, 0)
    assert value.reason == "the runner did not report what it needs"


def test_without_a_valid_run_every_value_is_none_with_a_reason():
    summary = summarize([], "generate")
    assert {value.reason for value in summary.values()} == {"no valid run"}


def test_a_trace_with_known_answers():
    summary = summarize(processes(10.0), "generate")
    known = {name: summary[name].value for name in summary if summary[name].value is not None}
    assert known == pytest.approx(
        {
            "load_ms": 30.0,
            "ttft_ms": 52.0,
            "start_to_first_token_ms": 83.0,
            "prefill_tokens_per_s": 2000.0,
            "decode_tokens_per_s": 100.0,
            "itl_p50_ms": 10.0,
            "peak_rss_bytes": 190.0 * MIB,
            "peak_anon_bytes": 85.0 * MIB,
            "peak_file_bytes": 100.0 * MIB,
            "major_faults": 3.0,
        }
    )


def test_a_method_has_latencies_and_no_tokens():
    runs = sample(invocation([float(i) for i in range(1, 102)]), kind="invoke")
    summary = summarize([runs], "invoke")
    assert summary["latency_p50_ms"].value == pytest.approx(51.0)
    assert summary["latency_p99_ms"].value == pytest.approx(100.0)
    assert "ttft_ms" not in summary


def test_sizes_carry_their_unit():
    assert size_values({"artifact_bytes": 5})["artifact_bytes"] == MetricValue(
        value=5.0, unit="bytes", n=1
    )
    assert METRICS["artifact_bytes"].read is None
