from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.bench import derive
from slmdeploy.bench.samples import failed_sample, sample_of

from .traces import MIB, MS, event, generation, invocation

ALL = [getattr(derive, name) for name in derive.__all__]


def sample(events, kind="generate"):
    return sample_of(events, kind=kind, role="timed", index=0)


def test_load_runs_from_the_start_to_the_last_phase():
    taken = sample(generation())
    assert derive.load_ns(taken) == 30 * MS
    assert derive.load_ns_by_phase(taken) == {
        "library": 5 * MS,
        "program": 5 * MS,
        "method": 20 * MS,
    }


def test_what_is_loaded_after_the_first_work_is_not_load_time():
    late = event("load", phase="method", name="late", start_ns=10**12, end_ns=2 * 10**12)
    assert derive.load_ns(sample([*generation(), late])) == 30 * MS


def test_ttft_runs_from_the_first_chunk_to_the_first_token():
    taken = sample(generation(prefill_ms=50.0))
    assert derive.ttft_ns(taken) == 52 * MS
    assert derive.start_to_first_token_ns(taken) == 83 * MS


def test_the_prefill_rate_is_tokens_by_time():
    assert derive.prefill_tokens_per_s(sample(generation(prompt=100, prefill_ms=50))) == 2000.0


def test_tokens_that_are_fed_twice_do_not_make_prefill_faster():
    chunks = [
        event("prefill", position=0, tokens=64, start_ns=0, end_ns=10 * MS),
        event("prefill", position=36, tokens=64, start_ns=10 * MS, end_ns=20 * MS),
    ]
    assert derive.prefill_tokens_per_s(sample(chunks)) == pytest.approx(5000.0)


@given(itl=st.lists(st.integers(1, 10**9), min_size=1, max_size=100), begin=st.integers(0, 2**62))
def test_decode_counts_the_intervals_between_tokens(itl, begin):
    stamps = [begin]
    for latency in itl:
        stamps.append(stamps[-1] + latency)
    taken = sample([event("token", index=i, id=i, t_ns=t) for i, t in enumerate(stamps)])
    assert derive.itl_ns(taken) == tuple(itl)
    assert derive.decode_tokens_per_s(taken) == pytest.approx(len(itl) * 1e9 / sum(itl))


def test_one_token_has_no_decode_rate():
    assert derive.decode_tokens_per_s(sample(generation([]))) is None
    assert derive.itl_ns(sample(generation([]))) == ()


def test_peaks_are_the_largest_of_the_phases():
    taken = sample(generation())
    assert derive.peak_rss_bytes(taken) == 190 * MIB
    assert derive.peak_anon_bytes(taken) == 85 * MIB
    assert derive.peak_file_bytes(taken) == 100 * MIB
    assert derive.major_faults(taken) == 3


def test_latencies_are_the_lengths_of_the_runs():
    taken = sample(invocation([1.5, 2.5]), "invoke")
    assert derive.latency_ns(taken) == (1_500_000, 2_500_000)


@pytest.mark.parametrize("function", ALL)
def test_a_sample_without_events_has_nothing(function):
    empty = failed_sample("away", kind="generate", role="timed", index=0)
    assert not function(empty)
