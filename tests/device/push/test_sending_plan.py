"""How a blob comes together: every byte once, kept, copied or sent."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.bundle.chunks import Chunk
from slmdeploy.device.push.plan import Item
from slmdeploy.device.push.sending_plan import Copy, Send, plan_blob, plan_rows
from slmdeploy.device.push.survey import Part, Place

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=20)


def item(size: int) -> Item:
    return Item("model.pte", Path("/nowhere"), size, "f" * 64, 0o644)


def chunks_of(lengths: list[int]) -> tuple[Chunk, ...]:
    offset, chunks = 0, []
    for number, length in enumerate(lengths):
        chunks.append(Chunk(offset, length, hashlib.sha256(b"%d" % number).hexdigest()))
        offset += length
    return tuple(chunks)


@given(LENGTHS, st.data())
def test_pieces_cover_what_is_not_kept_and_copies_are_the_right_bytes(
    lengths: list[int], data: st.DataObject
):
    """A board whose other file has some of the chunks, each at a place of its own."""
    chunks, size = chunks_of(lengths), sum(lengths)
    there = data.draw(st.lists(st.sampled_from(chunks), unique=True))
    shift = data.draw(st.integers(0, 1000))
    found = {c.sha256: Place("blobs/x", c.offset + shift, c.bytes) for c in there}
    kept = data.draw(st.integers(0, size + 10))
    plan = plan_blob(item(size), chunks, found, Part("tag", kept))
    at = plan.kept_bytes
    assert at == (kept if kept <= size else 0)
    for piece in plan.pieces:
        if isinstance(piece, Send):
            assert piece.offset == at
        else:
            assert piece.offset == at + shift
            inside = [c for c in there if c.offset < at + piece.bytes and at < c.offset + c.bytes]
            assert sum(c.bytes for c in inside) >= piece.bytes
        at += piece.bytes
    assert at == size
    assert plan.kept_bytes + plan.copied_bytes + plan.sent_bytes == size


def test_neighbours_of_one_kind_are_one_piece():
    chunks = chunks_of([10, 10, 10, 10])
    found = {c.sha256: Place("blobs/x", c.offset, c.bytes) for c in chunks[1:3]}
    plan = plan_blob(item(40), chunks, found)
    assert plan.pieces == (Send(0, 10), Copy("blobs/x", 10, 20), Send(30, 10))


def test_chunks_of_two_files_are_two_copies():
    first, second = chunks = chunks_of([10, 10])
    found = {first.sha256: Place("blobs/x", 0, 10), second.sha256: Place("blobs/y", 10, 10)}
    assert plan_blob(item(20), chunks, found).pieces == (
        Copy("blobs/x", 0, 10),
        Copy("blobs/y", 10, 10),
    )


def test_a_place_of_another_length_is_not_trusted():
    (chunk,) = chunks = chunks_of([10])
    found = {chunk.sha256: Place("blobs/x", 0, 9)}
    assert plan_blob(item(10), chunks, found).pieces == (Send(0, 10),)


def test_the_rows_that_the_board_reads():
    chunks = chunks_of([10, 10])
    found = {chunks[0].sha256: Place("blobs/x", 5, 10)}
    plan = plan_blob(item(20), chunks, found, Part("tag", 4))
    assert plan_rows([plan], small_bytes=512, aside=["e"]) == [
        f"adopt tag {'f' * 64}",
        "aside e",
        "tar 512",
        f"blob {'f' * 64} 20 644 4 2",
        "copy blobs/x 9 6",
        "send 10",
    ]
