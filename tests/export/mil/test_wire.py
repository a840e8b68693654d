"""The wire format, beside Google's own reader."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.errors import ModelReadError
from slmdeploy.export.litert.quiet import quiet
from slmdeploy.export.mil.wire import Message, packed_integers, packed_numbers

with quiet():
    from coremltools.proto import MIL_pb2

small = st.integers(-(2**31), 2**31 - 1)


@given(st.lists(small), st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_are_read_as_google_writes_them(ints, longs):
    value = MIL_pb2.TensorValue(ints=MIL_pb2.TensorValue.RepeatedInts(values=ints))
    other = MIL_pb2.TensorValue(longInts=MIL_pb2.TensorValue.RepeatedLongInts(values=longs))
    for message, number, expected in ((value, 2, ints), (other, 5, longs)):
        read = Message(memoryview(message.SerializeToString())).message(number)
        assert packed_integers(read.raw(1)) == expected


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_floats_are_read_as_google_writes_them(floats):
    value = MIL_pb2.TensorValue(floats=MIL_pb2.TensorValue.RepeatedFloats(values=floats))
    read = Message(memoryview(value.SerializeToString())).message(1)
    np.testing.assert_array_equal(packed_numbers(read.raw(1), "<f4"), np.asarray(floats, "<f4"))


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8)), st.integers(0, 2**64 - 1))
def test_maps_texts_and_unsigned_numbers_are_read_as_google_writes_them(names, offset):
    operation = MIL_pb2.Operation(type="const")
    for key, name in names.items():
        operation.inputs[key].arguments.add(name=name)
    read = Message(memoryview(operation.SerializeToString()))
    found = {key: next(one.messages(1)).text(1) for key, one in read.entries(2)}
    assert read.text(1) == "const"
    assert found == names
    blob = MIL_pb2.Value.BlobFileValue(fileName="w", offset=offset)
    assert Message(memoryview(blob.SerializeToString())).integer(2) == offset


@given(st.binary(max_size=60))
def test_junk_is_read_or_refused(junk):
    with suppress(ModelReadError):
        message = Message(memoryview(junk))
        for number in range(1, 8):
            message.integer(number)
            message.text(number)
            list(message.messages(number))


@pytest.mark.parametrize(
    ("junk", "said"),
    [
        (b"\x0a\x05ab", "says it has 5 bytes; 2 are left"),
        (b"\x08\xff", "has no end"),
        (b"\x0b", "wire type 3"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "are left"),
    ],
)
def test_what_runs_beyond_the_end_is_refused(junk, said):
    with pytest.raises(ModelReadError, match=said):
        Message(memoryview(junk))
