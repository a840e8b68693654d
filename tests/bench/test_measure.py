from __future__ import annotations

import numpy as np
import pytest

from slmdeploy.bench.measure import measure, measure_invoke
from slmdeploy.bench.workload import invoke_workload, synthetic, text_workload
from slmdeploy.errors import ConnectError, HostError, RunnerError, UsageError
from slmdeploy.runtime.protocol import Sampling

from .traces import FakeRunner, generation, invocation

WORKLOAD = synthetic(1000, prompt=100, generate=8, exclude=(2,))
BROKEN = RunnerError("out of memory", cause="memory")


def test_one_process_warms_up_and_n_are_counted():
    runner = FakeRunner([generation() for _ in range(4)])
    result = measure(runner, WORKLOAD, processes=3, warmup=1, threads=2)
    assert [(s.role, s.index) for s in result.samples] == [
        ("warmup", 0),
        ("timed", 0),
        ("timed", 1),
        ("timed", 2),
    ]
    assert result.status == "valid"
    assert result.summary["decode_tokens_per_s"].n == 3
    assert result.notes == ()


def test_the_request_is_greedy_ignores_the_end_of_text_and_names_the_threads():
    runner = FakeRunner([generation()])
    measure(runner, WORKLOAD, processes=1, warmup=0, threads=3)
    request = runner.requests[0]
    assert request.prompt == WORKLOAD.prompt
    assert request.max_new == 8
    assert request.stop_ids == ()
    assert request.sampling == Sampling()
    assert request.threads == 3


def test_a_process_that_fails_stays_with_its_reason_and_the_others_count():
    runner = FakeRunner([generation(), [*generation()[:9], BROKEN], generation()])
    result = measure(runner, WORKLOAD, processes=3, warmup=0)
    assert [s.outcome for s in result.samples] == ["ok", "failed", "ok"]
    assert result.samples[1].reason == "out of memory"
    assert len(result.samples[1].tokens) == 1
    assert result.status == "valid"
    assert result.summary["ttft_ms"].n == 2
    assert result.notes == ("1 of 3 runs not counted: out of memory",)


def test_after_a_failed_warm_up_nothing_more_is_started():
    runner = FakeRunner([BROKEN])
    result = measure(runner, WORKLOAD)
    assert len(result.samples) == 1
    assert (result.status, result.reason) == ("failed", "the warm-up failed: out of memory")


def test_when_the_device_is_away_nothing_more_is_started():
    runner = FakeRunner([generation(), ConnectError("pi5-a does not answer")])
    result = measure(runner, WORKLOAD, processes=5, warmup=0)
    assert len(result.samples) == 2
    assert result.status == "valid"


def test_only_invalid_runs_make_an_invalid_measurement():
    runner = FakeRunner([generation([1.0] * 3), BROKEN])
    result = measure(runner, WORKLOAD, processes=2, warmup=0)
    assert result.status == "invalid"
    assert result.reason.startswith("4 tokens, 8 were asked for")
    assert result.summary["decode_tokens_per_s"].value is None


def test_degenerate_text_is_invalid():
    workload = text_workload([1, 2, 3], generate=16)
    runner = FakeRunner([generation([1.0] * 15, ids=[9] * 16)])
    result = measure(runner, workload, processes=1, warmup=0)
    assert result.status == "invalid"
    assert "token 9 repeats 16 times" in result.reason


def test_a_wide_spread_is_said():
    runner = FakeRunner([generation([10.0] * 7), generation([12.0] * 7)])
    result = measure(runner, WORKLOAD, processes=2, warmup=0)
    assert result.notes == ("unreliable: decode_tokens_per_s spreads over 18% of its median",)


def test_a_note_of_every_process_is_said_once():
    runner = FakeRunner([generation([1.0] * 15, ids=[9] * 16) for _ in range(3)])
    result = measure(runner, synthetic(100, generate=16), processes=3, warmup=0)
    assert len(result.notes) == 1


def test_progress_is_told_after_each_process():
    told = []
    runner = FakeRunner([generation() for _ in range(3)])
    measure(
        runner,
        WORKLOAD,
        processes=2,
        progress=lambda done, total, sample: told.append((done, total, sample.role)),
    )
    assert told == [(1, 3, "warmup"), (2, 3, "timed"), (3, 3, "timed")]


def test_an_error_that_is_not_the_devices_comes_through():
    with pytest.raises(HostError):
        measure(FakeRunner([HostError("no space")]), WORKLOAD)


@pytest.mark.parametrize(("processes", "warmup"), [(0, 1), (1, -1)])
def test_nothing_to_run_is_refused(processes, warmup):
    with pytest.raises(UsageError):
        measure(FakeRunner([]), WORKLOAD, processes=processes, warmup=warmup)


def test_a_method_is_measured_with_its_inputs():
    inputs = [np.zeros((1, 4), np.int64)]
    workload = invoke_workload("forward", inputs, runs=3, warmup=2)
    runner = FakeRunner([invocation([1.0, 2.0, 3.0]) for _ in range(2)])
    result = measure_invoke(runner, workload, inputs, processes=1, threads=1)
    assert result.status == "valid"
    assert result.summary["latency_p50_ms"].value == pytest.approx(2.0)
    request = runner.requests[0]
    assert (request.method, request.runs, request.warmup, request.threads) == ("forward", 3, 2, 1)


def test_a_method_that_gives_nan_is_invalid():
    workload = invoke_workload("forward", [np.zeros(1)], runs=1)
    outputs = (np.array([1, 2]), np.array([np.nan, 1.0], np.float32))
    runner = FakeRunner([invocation([1.0])], outputs)
    result = measure_invoke(runner, workload, [np.zeros(1)], processes=1, warmup=0)
    assert result.reason == "the output is not finite: 1 of 2 values are NaN or infinite"


def test_a_method_that_fails_is_a_failed_sample():
    workload = invoke_workload("forward", [np.zeros(1)], runs=1)
    result = measure_invoke(FakeRunner([BROKEN]), workload, [np.zeros(1)], warmup=0, processes=1)
    assert result.status == "failed"
