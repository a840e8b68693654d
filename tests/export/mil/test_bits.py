"""Packed numbers of few bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.errors import ModelReadError
from slmdeploy.export.mil import bits
from slmdeploy.export.mil.bits import pack_bits, packed_bytes, unpack_bits


@st.composite
def numbers(draw):
    width = draw(st.integers(1, 8))
    values = draw(st.lists(st.integers(0, 2**width - 1), max_size=100))
    return width, np.asarray(values, np.uint8)


@given(numbers())
def test_what_is_packed_is_unpacked_again(case):
    width, values = case
    packed = pack_bits(values, width)
    assert packed.size == packed_bytes(values.size, width)
    np.testing.assert_array_equal(unpack_bits(packed, width, values.size), values)


@given(numbers())
def test_the_first_number_has_the_lowest_bits(case):
    width, values = case
    whole = int.from_bytes(pack_bits(values, width).tobytes(), "little")
    mask = 2**width - 1
    assert [whole >> (i * width) & mask for i in range(values.size)] == values.tolist()


@pytest.mark.parametrize("width", [1, 2, 3, 6])
def test_more_numbers_than_are_spread_at_once_are_whole(width, monkeypatch):
    monkeypatch.setattr(bits, "_AT_ONCE", 16)
    values = np.random.default_rng(0).integers(0, 2**width, 101).astype(np.uint8)
    np.testing.assert_array_equal(unpack_bits(pack_bits(values, width), width, 101), values)


def test_too_few_bytes_are_refused():
    with pytest.raises(ModelReadError, match="5 numbers of 3 bits need 2 bytes; 1 are there"):
        unpack_bits(np.zeros(1, np.uint8), 3, 5)
