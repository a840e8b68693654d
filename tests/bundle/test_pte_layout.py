"""The segments of a .pte, read by hand, beside what ExecuTorch's own reader says."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.bundle.chunks import Chunk, hash_chunks
from slmdeploy.bundle.pte_layout import HEAD_BYTES, Extent, program_extent, segment_starts

SEGMENT = b"segment" * 20_000


def program(*parts: bytes) -> bytes:
    """A .pte without methods: a flatbuffer, then segments, as executorch writes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from executorch.exir._serialize._named_data_store import NamedDataStore
        from executorch.exir._serialize._program import PTEFile, serialize_pte_binary
        from executorch.exir.schema import Program
    store = NamedDataStore()
    for number, part in enumerate(parts):
        store.add_named_data(f"weight{number}", part)
    empty = Program(0, [], [], [], [], None, [], [])  # type: ignore[arg-type]
    file = PTEFile(program=empty, named_data=store.get_named_data_store_output())
    return bytes(serialize_pte_binary(file))


@pytest.fixture(scope="module")
def pte() -> bytes:
    return program(SEGMENT, b"b" * 100, b"c" * 3_000_000)


def read(data: bytes) -> tuple[Extent, tuple[int, ...]]:
    extent = program_extent(data[:HEAD_BYTES])
    assert extent is not None
    return extent, segment_starts(data[: extent.program_bytes], extent, len(data))


def test_segments_begin_where_their_content_is(pte: bytes):
    extent, starts = read(pte)
    assert {pte.index(SEGMENT), pte.index(b"b" * 100), pte.index(b"c" * 1000)} == set(starts)
    assert starts[0] == extent.segment_base


def test_a_changed_weight_changes_its_own_chunks_alone(pte: bytes, tmp_path: Path):
    (tmp_path / "a").write_bytes(pte)
    (tmp_path / "b").write_bytes(program(SEGMENT, b"b" * 100, b"c" * 2_999_999 + b"d"))
    mine, other = ({c.sha256: c for c in hash_chunks(tmp_path / name)[1]} for name in "ab")
    new: list[Chunk] = [chunk for sha, chunk in other.items() if sha not in mine]
    assert sum(chunk.bytes for chunk in new) < 1_000_000 + len(pte) - pte.index(b"c" * 1000) - 2**21


@pytest.mark.parametrize("junk", [b"", b"x", b"PK\x03\x04" * 30, b"\0" * 64, b"\x08\0\0\0ET12eh00"])
def test_what_is_no_program_has_no_extent(junk: bytes):
    assert program_extent(junk) is None


def test_a_program_without_segments_is_one_piece():
    head = struct.pack("<I4s4sIQQ", 0, b"ET12", b"eh00", 24, 1000, 0) + b"\0" * 1000
    extent = program_extent(head[:HEAD_BYTES])
    assert extent == Extent(1000, 0)
    assert segment_starts(head[:1000], extent, 1000) == ()


@given(st.data())
def test_a_damaged_program_never_raises_and_is_never_cut_outside(pte: bytes, data: st.DataObject):
    copy = bytearray(pte[:2000])
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, 900))
        copy[place : place + 4] = data.draw(st.binary(min_size=4, max_size=4))
    extent = program_extent(bytes(copy[:HEAD_BYTES]))
    if extent is not None:
        starts = segment_starts(bytes(copy[: extent.program_bytes]), extent, len(pte))
        assert all(0 < start < len(pte) for start in starts)


@given(st.binary(max_size=300), st.integers(0, 1 << 63), st.integers(0, 1 << 63))
def test_anything_at_all_is_read_without_an_error(junk: bytes, size: int, base: int):
    segment_starts(junk, Extent(size, base), 1000)
    program_extent(junk)
