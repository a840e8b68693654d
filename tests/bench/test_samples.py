from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.bench.samples import ProcessSample, failed_sample, sample_of

from .traces import MIB, event, generation, invocation


def sample(events, kind="generate"):
    return sample_of(events, kind=kind, role="timed", index=0)


def test_every_stamp_of_a_generation_is_kept():
    taken = sample(generation())
    assert taken.outcome == "ok"
    assert [load.phase for load in taken.loads] == ["library", "program", "method", "method"]
    assert [stamp.phase for stamp in taken.memory] == ["load", "prefill", "decode"]
    assert taken.memory[1].anon_bytes == 80 * MIB
    assert [token.id for token in taken.tokens] == list(range(1000, 1008))
    assert taken.prefill[0].tokens == 100
    assert taken.ended == "length"
    assert taken.start.runtime == "executorch"


def test_every_run_of_an_invocation_is_kept():
    taken = sample(invocation([1.0, 2.0, 3.0]), "invoke")
    assert [run.index for run in taken.runs] == [0, 1, 2]
    assert taken.outcome == "ok"


def test_what_a_delegate_took_is_kept():
    took = {"delegate": "XNNPACK", "delegates": 1, "delegated_ops": 90, "total_ops": 100}
    (said,) = sample([*generation(), event("delegation", method="decode", **took)]).delegations
    assert (said.method, said.delegate, said.delegated_ops) == ("decode", "XNNPACK", 90)


def test_an_error_event_makes_it_failed_in_the_runners_words():
    told = event("error", cause="memory", message="out of memory", hint="", code=1)
    taken = sample([*generation()[:6], told])
    assert (taken.outcome, taken.reason) == ("failed", "out of memory")
    assert len(taken.loads) == 4


def test_a_process_that_vanishes_is_failed():
    taken = sample(generation()[:-1])
    assert taken.outcome == "failed"
    assert "without saying" in taken.reason


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (event("token", index=0, id=5), "'token' event is malformed: t_ns"),
        (event("load", phase="program", start_ns=0, end_ns="soon"), "'load' event"),
        (event("memory", t_ns=1), "'memory' event is malformed: phase"),
    ],
)
def test_a_malformed_event_is_named(bad, said):
    taken = sample([*generation(), bad])
    assert taken.outcome == "failed"
    assert said in taken.reason


def test_kinds_and_fields_of_a_later_protocol_are_passed_over():
    events = [event("weather", sun=True), *generation()]
    events[1].data["extra"] = 1
    assert sample(events).outcome == "ok"


def test_memory_that_could_not_be_had_is_none():
    taken = sample([event("memory", phase="load", t_ns=1, rss_bytes=None), *generation()])
    assert taken.memory[0].rss_bytes is None
    assert taken.memory[0].peak_rss_bytes is None


def test_a_failed_sample_keeps_what_was_said_before():
    kept = failed_sample("killed", kind="generate", role="timed", index=3, events=generation()[:9])
    assert (kept.outcome, kept.reason, kept.index) == ("failed", "killed", 3)
    assert len(kept.tokens) == 1
    assert failed_sample("away", kind="generate", role="warmup", index=0).tokens == ()


@given(itl=st.lists(st.floats(0.01, 100), max_size=30), prefill=st.floats(0.1, 1000))
def test_a_sample_survives_json(itl, prefill):
    taken = sample(generation(itl, prefill_ms=prefill))
    assert ProcessSample.model_validate_json(taken.model_dump_json()) == taken
