"""Where a file is cut: every byte once, no chunk too long, the same parts the same chunks."""

from __future__ import annotations

import hashlib
from itertools import accumulate
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.bundle.chunks import CHUNK_BYTES, SMALL_BYTES, cut, cut_file, hash_chunks

SIZES = st.lists(st.integers(1, 3 * CHUNK_BYTES), min_size=1, max_size=30)


@given(st.integers(0, 1 << 34), st.lists(st.integers(-5, 1 << 34), max_size=20))
def test_chunks_follow_one_another_and_cover_the_file(size: int, starts: list[int]):
    if size > 1 << 28:  # a list of a million is no better a proof
        size %= 1 << 28
    chunks = cut(size, starts)
    assert [offset for offset, _ in chunks] == [0, *accumulate(n for _, n in chunks)][:-1]
    assert sum(length for _, length in chunks) == size
    assert all(0 < length <= CHUNK_BYTES for _, length in chunks)


@given(st.integers(1, 1 << 24), SIZES)
def test_long_segments_have_the_same_chunks_wherever_they_lie(head: int, sizes: list[int]):
    """What a re-export moves is cut as before, relative to its own begin."""

    def cuts_within(first: int) -> list[list[tuple[int, int]]]:
        starts = list(accumulate([first, *sizes]))
        chunks = cut(starts[-1], starts[:-1])
        return [
            [(o - start, n) for o, n in chunks if start <= o < start + size]
            for start, size in zip(starts, sizes, strict=False)
            if size >= SMALL_BYTES
        ]

    assert cuts_within(head) == cuts_within(1 << 24)


def test_short_segments_share_a_chunk():
    starts = range(CHUNK_BYTES, CHUNK_BYTES + 30 * 512, 512)
    assert cut(CHUNK_BYTES + 30 * 512, starts) == ((0, CHUNK_BYTES), (CHUNK_BYTES, 30 * 512))


def test_many_short_segments_are_cut_now_and_then():
    starts = range(512, 1000 * 512, 512)
    assert {length for _, length in cut(1000 * 512, starts)} <= {SMALL_BYTES, 4096}


def test_a_long_segment_after_a_short_one_begins_a_chunk():
    chunks = cut(3 * CHUNK_BYTES, [CHUNK_BYTES, CHUNK_BYTES + 512])
    assert (CHUNK_BYTES, 512) in chunks
    assert (CHUNK_BYTES + 512, CHUNK_BYTES) in chunks


def test_other_files_are_cut_every_mebibyte(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"x" * (2 * CHUNK_BYTES + 5))
    lengths = [length for _, length in cut_file(tmp_path / "x")]
    assert lengths == [CHUNK_BYTES, CHUNK_BYTES, 5]


def test_an_empty_file_has_no_chunks(tmp_path: Path):
    (tmp_path / "x").touch()
    assert hash_chunks(tmp_path / "x") == (hashlib.sha256().hexdigest(), ())


def test_hashes_are_those_of_the_parts_and_of_the_whole(tmp_path: Path):
    data = bytes(range(256)) * 8192
    (tmp_path / "x").write_bytes(data)
    whole, chunks = hash_chunks(tmp_path / "x")
    assert whole == hashlib.sha256(data).hexdigest()
    for chunk in chunks:
        part = data[chunk.offset : chunk.offset + chunk.bytes]
        assert chunk.sha256 == hashlib.sha256(part).hexdigest()
