from __future__ import annotations

import contextlib
import json
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from slmdeploy.errors import ModelReadError
from slmdeploy.model.safetensors_header import read_header
from slmdeploy.model.weights import TensorMeta


def raw_file(path, header: bytes, data: bytes = b"", length: int | None = None):
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)) -> bytes:
    return json.dumps({"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()


def test_it_reads_what_the_library_wrote(tmp_path):
    path = tmp_path / "x.safetensors"
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16)}
    save_file(tensors, path, metadata={"format": "pt"})
    assert read_header(path) == {
        "a": TensorMeta((2, 3), "float32", 24),
        "b": TensorMeta((4,), "bfloat16", 8),
    }


def test_a_tensor_without_dimensions_has_one_value(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.tensor(1.0)}, path)
    assert read_header(path)["a"].parameters == 1


@pytest.mark.parametrize("keep", [0, 4, 7, 8, 30, -1])
def test_a_file_that_was_cut_short_is_named(tmp_path, keep):
    path = tmp_path / "cut.safetensors"
    save_file({"a": torch.zeros(16)}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelReadError, match=r"cut\.safetensors is damaged"):
        read_header(path)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"not json", "not JSON"),
        (b"[1]", "not a table"),
        (b"\xff\xfe", "not JSON"),
        (b'{"w": 3}', "malformed"),
        (b'{"w": {"dtype": "F32"}}', "malformed"),
        (entry(shape="xy"), "malformed"),
        (entry(offsets=(0, 8, 9)), "malformed"),
        (entry(offsets=(0, 9999)), "ends at byte 9999"),
        (entry(offsets=(-8, 0)), "ends at byte"),
        (entry(shape=(3,)), "has 8 bytes"),
    ],
)
def test_a_header_that_cannot_be_right_is_refused(tmp_path, header, why):
    path = raw_file(tmp_path / "x.safetensors", header, bytes(8))
    with pytest.raises(ModelReadError, match=why):
        read_header(path)


def test_a_length_beyond_the_file_is_not_allocated(tmp_path):
    path = raw_file(tmp_path / "x.safetensors", b"{}", length=2**62)
    with pytest.raises(ModelReadError, match="header would not fit"):
        read_header(path)


def test_an_unknown_dtype_is_named(tmp_path):
    path = raw_file(tmp_path / "x.safetensors", entry(dtype="F3"), bytes(8))
    with pytest.raises(ModelReadError, match="unknown dtype 'F3'"):
        read_header(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelReadError, match="cannot be read: No such file"):
        read_header(tmp_path / "none.safetensors")


@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_header_or_our_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "x.safetensors"
    path.write_bytes(data)
    with contextlib.suppress(ModelReadError):
        assert isinstance(read_header(path), dict)


@given(
    body=st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_gives_a_header_or_our_error(tmp_path_factory, body):
    path = raw_file(tmp_path_factory.mktemp("fuzz") / "x", json.dumps({"w": body}).encode())
    with pytest.raises(ModelReadError):
        read_header(path)


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"9" * 400])
@pytest.mark.parametrize(
    "place", [b'"shape": [%b], "data_offsets": [0, 8]', b'"shape": [2], "data_offsets": [0, %b]']
)
def test_numbers_beyond_all_sizes_are_refused(tmp_path, number, place):
    header = b'{"w": {"dtype": "F32", "shape": ' + place % number + b"}}"
    with pytest.raises(ModelReadError, match=r"x\.safetensors is damaged"):
        read_header(raw_file(tmp_path / "x.safetensors", header, bytes(8)))
