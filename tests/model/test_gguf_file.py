from __future__ import annotations

import contextlib
import random
import struct

import pytest
from gguf import GGUFReader

from slmdeploy.errors import ModelReadError
from slmdeploy.model.gguf_file import open_gguf


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_1"])
def test_it_reads_what_the_gguf_package_reads(gguf_file, kind):
    path = gguf_file(kind=kind)
    file, reader = open_gguf(path), GGUFReader(path)
    assert {
        name: (t.meta.shape, t.meta.dtype, t.meta.nbytes, t.offset)
        for name, t in file.tensors.items()
    } == {
        t.name: (tuple(map(int, reversed(t.shape))), t.tensor_type.name, t.n_bytes, t.data_offset)
        for t in reader.tensors
    }
    for key, value in file.metadata.items():
        wanted = reader.get_field(key).contents()
        assert value == (tuple(wanted) if isinstance(wanted, list) else wanted)


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_named(gguf_file, share):
    path = gguf_file()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ModelReadError, match=r"tiny\.gguf is damaged"):
        open_gguf(path)


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "x.gguf").touch()
    with pytest.raises(ModelReadError, match="empty"):
        open_gguf(tmp_path / "x.gguf")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelReadError, match="cannot be read: No such file"):
        open_gguf(tmp_path / "x.gguf")


def test_another_format_is_refused(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"ggml" + bytes(100))
    with pytest.raises(ModelReadError, match="not a GGUF file"):
        open_gguf(tmp_path / "x.gguf")


@pytest.mark.parametrize(
    ("version", "why"), [(b"\x01\0\0\0", "version 1"), (b"\0\0\0\x03", "big-endian")]
)
def test_versions_that_are_not_read_are_named(tmp_path, version, why):
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + version + bytes(16))
    with pytest.raises(ModelReadError, match=why):
        open_gguf(tmp_path / "x.gguf")


def test_an_array_longer_than_the_file_ends_at_once(tmp_path):
    key = struct.pack("<Q", 1) + b"k"
    array = struct.pack("<IIQ", 9, 0, 2**60)
    header = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    (tmp_path / "x.gguf").write_bytes(header + key + array)
    with pytest.raises(ModelReadError, match="within its header"):
        open_gguf(tmp_path / "x.gguf")


def test_any_damaged_byte_gives_a_file_or_our_error(gguf_file):
    path = gguf_file()
    whole, dice = path.read_bytes(), random.Random(0)  # noqa: S311  # not for secrets
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[dice.randrange(min(len(whole), 3000))] = dice.randrange(256)
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(ModelReadError):
            assert open_gguf(path).path == path
