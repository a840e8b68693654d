from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.target.units import format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("8 GiB", 8 * 2**30),
        ("8GiB", 8 * 2**30),
        ("512 MB", 512_000_000),
        ("1.5 KiB", 1536),
        ("7 B", 7),
        ("2 kB", 2000),
    ],
)
def test_amounts_are_read_as_written(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "8", "GiB", "8 Gib", "-1 B", "8 GiB of memory", "8 XB"])
def test_a_text_that_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match="is not an amount"):
        parse_bytes(text)


def test_numbers_pass_unchanged():
    assert parse_bytes(1024) == 1024


@given(st.integers(min_value=0, max_value=1023))
def test_small_amounts_are_written_exactly(count):
    assert format_bytes(count) == f"{count} B"


@given(st.integers(min_value=1024, max_value=2**50))
def test_a_written_amount_reads_back_within_its_last_digit(count):
    text = format_bytes(count)
    again = parse_bytes(text)
    assert abs(again - count) <= max(count * 0.06, 1)
