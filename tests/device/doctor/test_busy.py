"""Which processes keep a board busy, from two samples of /proc."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.doctor.busy import parse_busy
from tests.device.doctor_said import process, sample


def test_a_busy_process_is_named_with_its_share_of_a_core():
    before = sample(1000, process(70, 60, 0), process(9, 1, 100, "my (odd) name"))
    after = sample(1200, process(70, 60, 0), process(9, 1, 150, "my (odd) name"))
    [busy] = parse_busy(before, after, "70 60")
    # 200 ticks of two cores: 100 of each, of which it had 50.
    assert (busy.pid, busy.name, busy.share) == (9, "my (odd) name", 0.5)


def test_the_doctors_own_processes_are_not_told():
    family = [
        *((1, 0, "init"), (50, 1, "sshd"), (60, 50, "sshd")),  # above us
        *((70, 60, "sh"), (71, 70, "grep"), (72, 60, "sh")),  # ours: two commands at once
        *((80, 50, "sshd"), (81, 80, "make")),  # somebody else's
    ]
    before = sample(1000, *(process(pid, parent, 0, name) for pid, parent, name in family))
    after = sample(1200, *(process(pid, parent, 40, name) for pid, parent, name in family))
    assert sorted(busy.pid for busy in parse_busy(before, after, "70 60")) == [80, 81]


def test_a_number_that_was_given_out_anew_is_another_process():
    before = sample(1000, process(9, 1, 0, started=50))
    after = sample(1200, process(9, 1, 90, started=999))
    assert parse_busy(before, after, "70 60") == ()


def test_no_time_between_samples_is_a_reason():
    with pytest.raises(ValueError, match="no time"):
        parse_busy(sample(1000), sample(1000), "70 60")


@given(before=st.text(max_size=200), after=st.text(max_size=200), our=st.text(max_size=20))
def test_rubbish_is_refused_in_one_way_only(before: str, after: str, our: str):
    with contextlib.suppress(ValueError):
        parse_busy(before, after, our)
