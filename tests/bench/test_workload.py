from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.bench.workload import (
    GenerateWorkload,
    check_fits,
    invoke_workload,
    synthetic,
    text_workload,
)
from slmdeploy.errors import UsageError


@given(
    vocabulary=st.integers(3, 50000),
    prompt=st.integers(1, 200),
    seed=st.integers(0, 99),
    exclude=st.sets(st.integers(0, 50000), max_size=2),
)
def test_synthetic_ids_are_in_the_vocabulary_and_not_special(vocabulary, prompt, seed, exclude):
    workload = synthetic(vocabulary, prompt=prompt, seed=seed, exclude=exclude)
    assert len(workload.prompt) == prompt
    assert all(0 <= token < vocabulary for token in workload.prompt)
    assert not exclude & set(workload.prompt)


def test_the_trace_of_a_seed_is_the_same_for_ever():
    assert synthetic(49152, prompt=4, exclude=(0, 1, 2)).prompt == (29356, 21487, 10387, 4982)


def test_another_seed_gives_another_trace():
    assert synthetic(49152, seed=1).prompt != synthetic(49152, seed=0).prompt


def test_a_longer_prompt_begins_with_the_shorter_one():
    assert synthetic(500, prompt=64).prompt[:10] == synthetic(500, prompt=10).prompt


def test_a_vocabulary_of_special_ids_only_is_refused():
    with pytest.raises(UsageError, match="All 3 ids"):
        synthetic(3, exclude=(0, 1, 2))


@pytest.mark.parametrize(("prompt", "generate"), [(0, 4), (4, 0), (-1, 4)])
def test_a_workload_without_tokens_is_refused(prompt, generate):
    with pytest.raises(UsageError, match="measures nothing"):
        synthetic(100, prompt=prompt, generate=generate)


def test_the_key_tells_equal_work_from_other_work():
    base = synthetic(1000, prompt=8, generate=4)
    assert base.key == synthetic(1000, prompt=8, generate=4).key
    others = [
        synthetic(1000, prompt=8, generate=5),
        synthetic(1000, prompt=9, generate=4),
        synthetic(1000, prompt=8, generate=4, seed=1),
        text_workload(base.prompt, generate=4),
    ]
    assert len({base.key, *(other.key for other in others)}) == 5


def test_a_trace_longer_than_the_context_is_refused():
    workload = synthetic(1000, prompt=100, generate=29)
    check_fits(workload, 129)
    with pytest.raises(UsageError, match=r"make 129; the bundle's context is 128"):
        check_fits(workload, 128)


def test_a_workload_survives_json():
    workload = synthetic(1000, prompt=8, generate=4, exclude=(0, 2))
    assert GenerateWorkload.model_validate_json(workload.model_dump_json()) == workload


def test_the_inputs_of_a_method_are_named_by_shape_and_hash():
    ids = np.arange(32, dtype=np.int64).reshape(1, 32)
    workload = invoke_workload("forward", [ids], runs=20, warmup=2)
    assert workload.key.startswith("forward(1x32), 20 runs (")
    assert workload == invoke_workload("forward", [ids.copy()], runs=20, warmup=2)
    for other in (ids + 1, ids.astype(np.int32), ids.reshape(2, 16)):
        assert invoke_workload("forward", [other], runs=20, warmup=2).key != workload.key
