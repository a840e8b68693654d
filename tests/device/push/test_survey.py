"""What a board says of itself, and what is made of it."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.push.survey import Part, own_tag, parse_survey, sender_name

A, B = "a" * 64, "b" * 64


def parts_of(owner: str, state: str = "alive") -> dict[str, Part]:
    return parse_survey(f"tag t1 {state} {owner}\npart 100 incoming/t1/{A}\n").parts


def test_a_blob_is_trusted_while_its_stamp_is_what_it_was():
    text = f"have {A}\nhave {B}\nblob {A} 7 10 t1\nblob {B} 8 10 t2\nstamp {A} 7 10 t1\n"
    there = parse_survey(text + f"stamp {B} 8 10 t1\n")
    assert (there.blobs, there.doubtful) == ({A}, {B})


def test_without_a_stamp_it_is_doubtful():
    assert parse_survey(f"have {A}\nblob {A} 7 10 t1\n").doubtful == {A}


def test_a_stamp_without_its_blob_means_nothing():
    there = parse_survey(f"blob {A} 7 10 t1\nstamp {A} 7 10 t1\n")
    assert not there.blobs | there.doubtful


def test_names_of_files_keep_their_blanks():
    assert parse_survey("absent bundles/n/d/a  b 'c'").absent == {"bundles/n/d/a  b 'c'"}


def test_the_longest_part_is_kept():
    text = f"tag t1 dead x\npart 5 incoming/t1/{A}\ntag t2 dead x\npart 9 incoming/t2/small/{A}\n"
    assert parse_survey(text).parts == {A: Part("t2", 9)}


def of_process(pid: int) -> str:
    """A sender of this user and computer with another number."""
    return re.sub(r"process \d+", f"process {pid}", sender_name())


def ended() -> int:
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    return child.pid


def test_a_part_that_somebody_sends_is_left_alone():
    assert parts_of("lab@elsewhere (process 4711)") == {}
    assert parts_of(of_process(os.getppid())) == {}


def test_a_part_of_a_push_that_died_is_taken():
    assert parts_of("lab@elsewhere (process 4711)", "dead")
    assert parts_of(of_process(ended()))


def test_a_number_means_nothing_on_another_computer_of_this_name():
    here = of_process(ended())
    assert parts_of(here.replace(here.split()[0], "0" * 12)) == {}


def test_a_part_of_this_process_is_taken_unless_that_push_goes_on():
    assert parts_of(sender_name())
    with own_tag("t1"):
        assert parts_of(sender_name(), "dead") == {}


@pytest.mark.parametrize("text", ["", "df nonsense", "df\n", "df a b\ndf c d"])
def test_a_disk_whose_room_is_not_told_is_unknown(text: str):
    assert parse_survey(text).free_bytes is None


@given(st.text(max_size=300))
def test_lines_of_a_login_script_are_passed_over(text: str):
    there = parse_survey("\n".join(f"motd {line}" for line in text.splitlines()))
    assert there.blobs == there.doubtful == there.absent == set()
