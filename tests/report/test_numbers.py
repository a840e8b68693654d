from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.report.numbers import in_shown_unit, number, shown_unit


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (30.0, "30.00"),
        (52.25, "52.25"),
        (1234.5, "1,234"),
        (0.012346, "0.01235"),
        (-3.14159, "-3.142"),
        (1e15, "1.000e+15"),
        (1e-9, "1.000e-09"),
    ],
)
def test_four_significant_digits(value, text):
    assert number(value) == text


def test_counts_are_as_they_are():
    assert number(3.0, "count") == "3"
    assert number(2.5, "count") == "2.5"


@given(value=st.floats(1e-6, 1e11))
def test_a_number_is_near_what_it_stands_for(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=6e-4)


def test_bytes_are_shown_as_mib():
    assert shown_unit("bytes") == "MiB"
    assert in_shown_unit(3 * 2**20, "bytes") == 3.0
    assert (shown_unit("ms"), in_shown_unit(5.0, "ms")) == ("ms", 5.0)
