"""All facts of a board, from one text, and what becomes of those that it does not tell."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.doctor.gather import BoardFacts, ClockSkew, facts_of, read_board, skew_of
from slmdeploy.device.facts import Memory, Reading
from slmdeploy.errors import CommandError, ConnectError
from slmdeploy.transport.base import Result
from slmdeploy.transport.fake import FakeTransport
from slmdeploy.transport.local import LocalTransport
from tests.device.doctor_said import MODEL, PI5

READINGS = [f.name for f in dataclasses.fields(BoardFacts) if f.name != "sensors"]


def test_a_raspberry_pi():
    facts = facts_of(PI5, 1795591398.7, 1795591399.2)
    assert facts.system.value is not None
    assert facts.system.value.machine == "aarch64"
    assert (facts.kind.value, facts.model.value) == ("rpi5", MODEL)
    assert (facts.glibc.value, facts.page_bytes.value) == ((2, 36), 16384)
    assert facts.memory.value == Memory(8255932 * 1024, 7301234 * 1024)
    assert facts.mount.value is not None
    assert facts.mount.value.point == "/"
    assert facts.l4t == Reading(None, "the board did not tell")
    assert facts.sudo.value is True


def test_what_was_not_told_has_a_reason_and_no_value():
    facts = facts_of("", 0, 0)
    for name in READINGS:
        reading = getattr(facts, name)
        assert reading.value is None, name
        assert reading.reason, name


@given(cut=st.integers(0, len(PI5)))
def test_an_output_that_is_cut_off_gives_what_came(cut: int):
    facts = facts_of(PI5[:cut], 0, 0)
    for name in READINGS:
        reading = getattr(facts, name)
        assert (reading.value is None) == bool(reading.reason), name


def test_the_skew_lies_between_what_the_two_looks_allow():
    # Sent at 100.0 by our clock, seen by the board at 110.1, at its end at 110.5; back at 100.7.
    skew = skew_of((110.1, 110.1), (110.5, 110.5), 100.0, 100.7)
    assert skew.least == pytest.approx(9.8)
    assert skew.most == pytest.approx(10.1)
    assert skew.sure == pytest.approx(9.8)


@given(true=st.floats(-1e6, 1e6), there=st.floats(0, 5), work=st.floats(0, 5), back=st.floats(0, 5))
def test_the_true_skew_is_never_outside_the_bounds(
    true: float, there: float, work: float, back: float
):
    first, last = there + true, there + work + true
    skew = skew_of((first, first), (last, last), 0.0, there + work + back)
    assert skew.least - 1e-6 <= true <= skew.most + 1e-6


@pytest.mark.parametrize(
    ("least", "most", "sure"), [(-1.0, 2.0, 0.0), (3.0, 4.0, 3.0), (-4.0, -3.0, -3.0)]
)
def test_only_what_is_certain_counts_as_skew(least: float, most: float, sure: float):
    assert ClockSkew(least, most).sure == sure


def test_this_computer_tells_its_own(tmp_path: Path):
    facts = read_board(LocalTransport(), home=str(tmp_path / "ours"))
    for reading in (facts.system, facts.glibc, facts.cpu, facts.memory, facts.disk, facts.busy):
        assert reading.reason is None
    assert facts.skew.value is not None
    assert abs(facts.skew.value.sure) < 1
    assert facts.home.value is not None
    assert facts.home.value.near == str(tmp_path)


def test_a_board_without_a_shell_is_an_error(tmp_path: Path):
    fake = FakeTransport(tmp_path, handler=lambda _: Result(127, "", "sh: not found"))
    with pytest.raises(CommandError, match="not found"):
        read_board(fake)


def test_a_board_that_goes_away_is_an_error(tmp_path: Path):
    fake = FakeTransport(tmp_path)
    fake.faults.away = True
    with pytest.raises(ConnectError):
        read_board(fake)
