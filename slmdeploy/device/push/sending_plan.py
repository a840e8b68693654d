"""How each blob comes together on the board: what is kept, copied there, and sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slmdeploy.bundle.chunks import Chunk
from slmdeploy.device.push.plan import Item
from slmdeploy.device.push.survey import Part, Place

__all__ = ["SMALL_FILE_BYTES", "BlobPlan", "Copy", "Piece", "Send", "plan_blob", "plan_rows"]

SMALL_FILE_BYTES = 1 << 18
"""Smaller files travel together, as one archive."""


@dataclass(frozen=True)
class Copy:
    """Bytes that another file of the board has: which, from where, how many."""

    file: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class Send:
    """Bytes of the blob's source: from where, how many."""

    offset: int
    bytes: int


Piece = Copy | Send


@dataclass(frozen=True)
class BlobPlan:
    """How a blob comes together.

    Attributes:
        item: The file.
        part: What arrived of it earlier; its bytes are kept.
        pieces: What follows, in order.
        chunks: Its chunks; ``None`` while they are not known.
    """

    item: Item
    part: Part | None = None
    pieces: tuple[Piece, ...] = ()
    chunks: tuple[Chunk, ...] | None = None

    @property
    def kept_bytes(self) -> int:
        """Bytes that arrived earlier."""
        return self.part.bytes if self.part else 0

    @property
    def sent_bytes(self) -> int:
        """Bytes to send."""
        return sum(piece.bytes for piece in self.pieces if isinstance(piece, Send))

    @property
    def copied_bytes(self) -> int:
        """Bytes to copy on the board."""
        return sum(piece.bytes for piece in self.pieces if isinstance(piece, Copy))


def plan_blob(
    item: Item,
    chunks: tuple[Chunk, ...] | None,
    found: Mapping[str, Place],
    part: Part | None = None,
) -> BlobPlan:
    """Plan a blob; neighbours of one kind become one piece.

    Args:
        item: The file.
        chunks: Its chunks; ``None`` to send all that is not kept.
        found: Where on the board chunks are, by their sha256.
        part: What arrived of it earlier; one that is too long is of no use.
    """
    if part is not None and part.bytes > item.bytes:
        part = None
    kept = part.bytes if part else 0
    pieces: list[Piece] = []
    for chunk in chunks or (Chunk(0, item.bytes, ""),):
        start = max(chunk.offset, kept)
        length = chunk.offset + chunk.bytes - start
        if length <= 0:
            continue
        place = found.get(chunk.sha256)
        if place is None or place.bytes != chunk.bytes:
            _append(pieces, Send(start, length))
        else:
            _append(pieces, Copy(place.file, place.offset + start - chunk.offset, length))
    return BlobPlan(item, part, tuple(pieces), chunks)


def plan_rows(plans: Sequence[BlobPlan], *, small_bytes: int, aside: Sequence[str]) -> list[str]:
    """The rows of the plan that ``scripts.RECEIVE`` reads.

    Args:
        plans: Large blobs in the order in which they are sent.
        small_bytes: Of the archive of small files; 0 for none.
        aside: Blobs whose damaged part is put aside first.
    """
    rows = [f"adopt {plan.part.tag} {plan.item.sha256}" for plan in plans if plan.part]
    rows += [f"aside {sha}" for sha in aside]
    rows += [f"tar {small_bytes}"] if small_bytes else []
    for plan in plans:
        item = plan.item
        rows.append(
            f"blob {item.sha256} {item.bytes} {item.mode:o} {plan.kept_bytes} {len(plan.pieces)}"
        )
        rows += [_row(piece) for piece in plan.pieces]
    return rows


def _row(piece: Piece) -> str:
    if isinstance(piece, Send):
        return f"send {piece.bytes}"
    return f"copy {piece.file} {piece.offset} {piece.bytes}"


def _append(pieces: list[Piece], piece: Piece) -> None:
    last = pieces[-1] if pieces else None
    if isinstance(last, Send) and isinstance(piece, Send):
        pieces[-1] = Send(last.offset, last.bytes + piece.bytes)
    elif (
        isinstance(last, Copy)
        and isinstance(piece, Copy)
        and last.file == piece.file
        and last.offset + last.bytes == piece.offset
    ):
        pieces[-1] = Copy(last.file, last.offset, last.bytes + piece.bytes)
    else:
        pieces.append(piece)
