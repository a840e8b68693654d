"""Where the segments of an ExecuTorch program lie in its file.

A ``.pte`` begins with a flatbuffer; weights and delegates' data follow it as segments.
The extended header behind the flatbuffer's first 8 bytes says how long the flatbuffer is
and where segments begin; the table ``Program`` in it lists them (executorch 1.5,
``schema/extended_header.h`` and ``schema/program.fbs``). Flatbuffers are read by hand:
scalars are little-endian, a table begins with the signed distance back to its vtable,
and references are unsigned distances ahead (the format's "FlatBuffer Internals").
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["HEAD_BYTES", "Extent", "program_extent", "segment_starts"]

HEAD_BYTES = 64
"""What of a file ``program_extent`` wants; the format keeps the header within."""
_HEADER_AT = 8
_MAGIC = b"eh00"
_MOST_ENTRIES = 1 << 20  # no program has so many; damaged files claim more

# Numbers of fields in the order of program.fbs.
_PROGRAM_SEGMENTS, _PROGRAM_CONSTANTS, _PROGRAM_MUTABLE = 4, 5, 6
_SEGMENT_OFFSET = 0
_PART_INDEX, _PART_OFFSETS = 0, 1


@dataclass(frozen=True)
class Extent:
    """Parts of the file: bytes of the flatbuffer, and where the first segment begins."""

    program_bytes: int
    segment_base: int


def program_extent(head: bytes) -> Extent | None:
    """Read the extended header; ``None`` where the file is no such program.

    Args:
        head: The first ``HEAD_BYTES`` of the file, or all of a shorter one.
    """
    if head[_HEADER_AT : _HEADER_AT + 4] != _MAGIC or len(head) < _HEADER_AT + 24:
        return None
    length, program_bytes, base = struct.unpack_from("<IQQ", head, _HEADER_AT + 4)
    if length < 24 or program_bytes < _HEADER_AT + length or (base and base < program_bytes):
        return None
    return Extent(program_bytes, base)


def segment_starts(program: bytes, extent: Extent, file_bytes: int) -> tuple[int, ...]:
    """Offsets in the file at which segments, and tensors within them, begin; sorted.

    Named data are segments of their own. Never raises: what a damaged file says beyond
    its end is left out, and a file that cannot be read has no segments.

    Args:
        program: The flatbuffer, the first ``extent.program_bytes`` of the file.
        extent: What its header says.
        file_bytes: Size of the whole file.
    """
    if not extent.segment_base:
        return ()
    found: set[int] = {extent.segment_base}
    try:
        offsets = list(_segments(program))
        found.update(extent.segment_base + offset for offset in offsets)
        found.update(extent.segment_base + offset for offset in _tensors(program, offsets))
    except (struct.error, ValueError):
        pass  # damaged: what was found so far is as good a place to cut as any
    return tuple(sorted(start for start in found if 0 < start < file_bytes))


def _segments(program: bytes) -> Iterator[int]:
    for table in _tables(program, _reference(program, 0), _PROGRAM_SEGMENTS):
        yield _scalar(program, table, _SEGMENT_OFFSET, "<Q")


def _tensors(program: bytes, segments: list[int]) -> Iterator[int]:
    """Offsets of tensors that share a segment, from the base of segments."""
    root = _reference(program, 0)
    parts = list(_tables(program, root, _PROGRAM_MUTABLE))
    constants = _field(program, root, _PROGRAM_CONSTANTS)
    if constants is not None:
        parts.append(_reference(program, constants))
    for part in parts:
        index = _scalar(program, part, _PART_INDEX, "<I")
        if index >= len(segments):
            raise ValueError
        for at in _entries(program, part, _PART_OFFSETS, 8):
            yield segments[index] + int(struct.unpack_from("<Q", program, at)[0])


def _tables(program: bytes, table: int, field: int) -> Iterator[int]:
    for at in _entries(program, table, field, 4):
        yield _reference(program, at)


def _entries(program: bytes, table: int, field: int, width: int) -> Iterator[int]:
    """Positions of a vector's entries; none where the field is absent."""
    place = _field(program, table, field)
    if place is None:
        return
    vector = _reference(program, place)
    (count,) = struct.unpack_from("<I", program, vector)
    if count > _MOST_ENTRIES:
        raise ValueError
    yield from range(vector + 4, vector + 4 + count * width, width)


def _scalar(program: bytes, table: int, field: int, kind: str) -> int:
    place = _field(program, table, field)
    return 0 if place is None else int(struct.unpack_from(kind, program, place)[0])


def _field(program: bytes, table: int, field: int) -> int | None:
    """Position of a table's field; ``None`` where it has its default."""
    (back,) = struct.unpack_from("<i", program, table)
    vtable = table - back
    if vtable < 0:
        raise ValueError
    (size,) = struct.unpack_from("<H", program, vtable)
    if 4 + 2 * field >= size:
        return None
    (offset,) = struct.unpack_from("<H", program, vtable + 4 + 2 * field)
    return table + offset if offset else None


def _reference(program: bytes, at: int) -> int:
    (ahead,) = struct.unpack_from("<I", program, at)
    return int(at + ahead)
