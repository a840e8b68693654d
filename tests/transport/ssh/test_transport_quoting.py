"""Whatever the words of a command are, the device gets them unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmdeploy.device.connect import connect
from slmdeploy.device.types import Device
from slmdeploy.transport.base import Transport

# Everything but NUL, which ends a word, and surrogates, which are no characters.
WORDS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    | st.sampled_from("'\"\\$` \n"),
    max_size=20,
)


@pytest.fixture(scope="module")
def board(sshd_board: Device) -> Iterator[Transport]:
    with closing(connect(sshd_board)) as transport:
        yield transport


@settings(max_examples=60, deadline=None)
@given(words=st.lists(WORDS, min_size=1, max_size=6))
def test_any_argument_arrives_unchanged(board: Transport, words: list[str]):
    said = board.check(["printf", "%s\\0", *words]).stdout
    assert said.split("\0")[:-1] == words


@settings(max_examples=30, deadline=None)
@given(value=WORDS)
def test_any_value_of_a_variable_arrives_unchanged(board: Transport, value: str):
    assert board.check(["sh", "-c", 'printf %s "$VALUE"'], env={"VALUE": value}).stdout == value


@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=5000))
def test_any_input_arrives_unchanged(board: Transport, data: bytes):
    said = board.check(["od", "-An", "-v", "-tx1"], stdin=data).stdout
    assert bytes.fromhex(said.replace("\n", "")) == data
