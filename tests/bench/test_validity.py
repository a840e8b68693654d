from __future__ import annotations

import numpy as np

from slmdeploy.bench.samples import failed_sample, sample_of
from slmdeploy.bench.validity import judge_generate, judge_invoke
from slmdeploy.bench.workload import invoke_workload, synthetic, text_workload

from .traces import generation, invocation

LOOP = [5, 6, 7] * 8


def generated(itl=(10.0,) * 23, **trace):
    return sample_of(generation(itl, **trace), kind="generate", role="timed", index=0)


def invoked(latencies):
    return sample_of(invocation(latencies), kind="invoke", role="timed", index=0)


def test_the_work_that_was_asked_is_valid():
    judged = judge_generate(generated(), synthetic(100, generate=24))
    assert (judged.outcome, judged.reason, judged.notes) == ("ok", None, ())


def test_fewer_tokens_than_asked_are_invalid():
    judged = judge_generate(generated([1.0] * 11, reason="context"), synthetic(100, generate=24))
    assert judged.outcome == "invalid"
    assert judged.reason == "12 tokens, 24 were asked for (ended: context)"


def test_a_loop_after_a_text_is_invalid():
    judged = judge_generate(generated(ids=LOOP), text_workload([1, 2], generate=24))
    assert judged.outcome == "invalid"
    assert judged.reason == "degenerate output: a phrase of 3 tokens repeats 8 times"


def test_a_loop_after_a_synthetic_prompt_is_a_note():
    judged = judge_generate(generated(ids=LOOP), synthetic(100, generate=24))
    assert judged.outcome == "ok"
    assert judged.notes == ("after the synthetic prompt: a phrase of 3 tokens repeats 8 times",)


def test_what_comes_after_the_end_of_the_text_is_not_judged():
    workload = text_workload([1, 2], generate=24, stop_ids=[5])
    assert judge_generate(generated(ids=LOOP), workload).outcome == "ok"


def test_a_clock_that_goes_backwards_is_invalid():
    judged = judge_generate(generated([1.0, -5.0, 1.0]), synthetic(100, generate=4))
    assert judged.reason == "the clock goes backwards at stamp 2"


def test_a_failed_sample_keeps_its_reason():
    failed = failed_sample("killed", kind="generate", role="timed", index=0)
    assert judge_generate(failed, synthetic(100)) == failed
    assert judge_invoke(failed, invoke_workload("f", [np.zeros(1)]), None) == failed


def test_runs_of_a_method_are_counted():
    workload = invoke_workload("forward", [np.zeros(1)], runs=3)
    assert judge_invoke(invoked([1.0] * 3), workload, None).outcome == "ok"
    short = judge_invoke(invoked([1.0] * 2), workload, None)
    assert short.reason == "2 timed runs, 3 were asked for"


def test_an_output_with_a_fault_is_invalid():
    workload = invoke_workload("forward", [np.zeros(1)], runs=1)
    assert judge_invoke(invoked([1.0]), workload, "NaN").reason == "NaN"
