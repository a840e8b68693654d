"""Cut a file into chunks, so that two files that share a part share its chunks.

A program of ExecuTorch is cut where its segments begin: a re-export whose graph has
changed moves the weights, and a weight that is the same is the same chunks all the same.
Long segments are cut every MiB from their start. Other files are cut every MiB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from slmdeploy.bundle.pte_layout import HEAD_BYTES, program_extent, segment_starts

__all__ = ["CHUNK_BYTES", "SMALL_BYTES", "Chunk", "cut", "cut_file", "hash_chunks"]

CHUNK_BYTES = 1 << 20
"""No chunk is longer."""
SMALL_BYTES = 1 << 14
"""Shorter segments share a chunk with their neighbours: a norm needs none of its own."""
_MOST_PROGRAM_BYTES = 1 << 28  # of a flatbuffer that is read for its segments


@dataclass(frozen=True)
class Chunk:
    """A part of a file, in bytes; ``sha256`` (hex) of its content."""

    offset: int
    bytes: int
    sha256: str


def cut(size: int, starts: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Cut a file; gives (offset, bytes) of each chunk, which follow one another.

    Args:
        size: Of the file, in bytes.
        starts: Where segments begin, sorted; the file's own begin need not be there.
    """
    inside = sorted({start for start in starts if 0 < start < size})
    places = [0, *_worthwhile([0, *inside, size]), size]
    return tuple(
        (offset, min(CHUNK_BYTES, end - offset))
        for start, end in pairwise(places)
        for offset in range(start, end, CHUNK_BYTES)
    )


def _worthwhile(places: list[int]) -> Iterator[int]:
    """Where to cut: before and behind what is long, and now and then among what is short."""
    begun = 0  # where the chunk of short segments begins
    was_long = False
    for start, end in pairwise(places):
        is_long = end - start >= SMALL_BYTES
        if start and (is_long or was_long or start - begun >= SMALL_BYTES):
            yield start
            begun = start
        was_long = is_long


def cut_file(path: Path) -> tuple[tuple[int, int], ...]:
    """Cut a file where its format says.

    Raises:
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        extent = program_extent(file.read(HEAD_BYTES))
        if extent is None or extent.program_bytes > min(size, _MOST_PROGRAM_BYTES):
            return cut(size, ())
        file.seek(0)
        program = file.read(extent.program_bytes)
    return cut(size, segment_starts(program, extent, size))


def hash_chunks(path: Path) -> tuple[str, tuple[Chunk, ...]]:
    """Read a file once; gives its sha256 (hex) and its chunks.

    Raises:
        OSError: It cannot be read, or became shorter meanwhile.
    """
    whole = hashlib.sha256()
    chunks = []
    with path.open("rb", buffering=0) as file:
        for offset, length in cut_file(path):
            data = file.read(length)
            if len(data) != length:
                raise OSError(f"{path} became shorter while it was read")
            whole.update(data)
            chunks.append(Chunk(offset, length, hashlib.sha256(data).hexdigest()))
    return whole.hexdigest(), tuple(chunks)
