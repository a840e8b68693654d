"""Read of a program or library what it asks of the machine that is to load it.

The layout is that of the ELF specification and of the GNU symbol versions ("Linux
Standard Base, Symbol Versioning"). Only what the dynamic loader itself reads is looked
at, so a stripped file, or one of another architecture, tells as much.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["Elf", "Version", "merge_needs", "parse_elf", "parse_version", "read_elf"]

Version = tuple[int, ...]

_MACHINES: Final = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRTAB = 1, 5
_VERNEED, _VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF


@dataclass(frozen=True)
class Elf:
    """What a file asks for.

    Attributes:
        machine: As ``uname -m`` calls it, or ``machine N`` for one that we do not know.
        bits: 32 or 64.
        align: The least alignment of a segment that is loaded, in bytes; a kernel with
            larger pages does not load the file. ``None`` where nothing is loaded.
        versions: Newest version of each family of symbols (``GLIBC``, ``GLIBCXX``,
            ``CXXABI``) that it needs.
        libraries: Libraries that are loaded with it, by name.
    """

    machine: str
    bits: int
    align: int | None
    versions: Mapping[str, Version] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()


def read_elf(path: Path) -> Elf:
    """Read a program or library.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not ELF of little-endian order, or is cut off.
    """
    return parse_elf(path.read_bytes())


def parse_elf(data: bytes) -> Elf:
    """As ``read_elf``, from the bytes of the file."""
    try:
        return _parse(data)
    except (struct.error, IndexError) as error:
        raise ValueError("the ELF file is cut off") from error


def parse_version(text: str) -> Version:
    """``"3.4.30"`` as numbers.

    Raises:
        ValueError: It is not numbers with points between.
    """
    return tuple(int(part) for part in text.split("."))


def merge_needs(files: Iterable[Elf]) -> Mapping[str, Version]:
    """The newest version of each family of symbols that any of the files needs."""
    newest: dict[str, Version] = {}
    for file in files:
        for family, version in file.versions.items():
            newest[family] = max(version, newest.get(family, ()))
    return newest


def _parse(data: bytes) -> Elf:
    if data[:4] != b"\x7fELF" or data[5] != 1:
        raise ValueError("not an ELF file of little-endian order")
    bits = {1: 32, 2: 64}.get(data[4])
    if bits is None:
        raise ValueError(f"an ELF file of unknown class {data[4]}")
    (machine,) = struct.unpack_from("<H", data, 18)
    segments = list(_segments(data, bits))
    loads = [segment for segment in segments if segment[0] == _LOAD]
    name = _MACHINES.get(machine, f"machine {machine}")
    align = min((segment[4] for segment in loads), default=None)
    dynamic = next((segment for segment in segments if segment[0] == _DYNAMIC), None)
    if dynamic is None:
        return Elf(name, bits, align)
    entries = list(_entries(data, bits, dynamic))
    tags = dict(entries)
    if _STRTAB not in tags:
        return Elf(name, bits, align)
    strings = _offset(loads, tags[_STRTAB])
    libraries = tuple(_text(data, strings + value) for tag, value in entries if tag == _NEEDED)
    needs = _needs(data, tags, loads, strings)
    return Elf(name, bits, align, _newest(needs), libraries)


# (type, offset in the file, address, size in the file, alignment)
_Segment = tuple[int, int, int, int, int]


def _segments(data: bytes, bits: int) -> Iterator[_Segment]:
    if bits == 64:
        (table,) = struct.unpack_from("<Q", data, 32)
        size, count = struct.unpack_from("<HH", data, 54)
    else:
        (table,) = struct.unpack_from("<I", data, 28)
        size, count = struct.unpack_from("<HH", data, 42)
    for at in range(table, table + size * count, size or 1):
        if bits == 64:
            kind, _, offset, address, _, length, _, align = struct.unpack_from(
                "<IIQQQQQQ", data, at
            )
        else:
            kind, offset, address, _, length, _, _, align = struct.unpack_from("<8I", data, at)
        yield kind, offset, address, length, align


def _entries(data: bytes, bits: int, dynamic: _Segment) -> Iterator[tuple[int, int]]:
    form, size = ("<QQ", 16) if bits == 64 else ("<II", 8)
    _, offset, _, length, _ = dynamic
    for at in range(offset, offset + length - size + 1, size):
        tag, value = struct.unpack_from(form, data, at)
        if tag == 0:
            return
        yield tag, value


def _offset(loads: list[_Segment], address: int) -> int:
    """Where in the file what is loaded at an address stands."""
    for _, offset, start, length, _ in loads:
        if start <= address < start + length:
            return offset + address - start
    raise ValueError(f"the ELF file loads nothing at address {address:#x}")


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode("ascii", errors="replace")


def _needs(
    data: bytes, tags: Mapping[int, int], loads: list[_Segment], strings: int
) -> Iterator[str]:
    """Names of the versions, as ``GLIBC_2.34``."""
    if _VERNEED not in tags:
        return
    at = _offset(loads, tags[_VERNEED])
    for _ in range(tags.get(_VERNEEDNUM, 0)):
        _, count, _, first, following = struct.unpack_from("<HHIII", data, at)
        inner = at + first
        for _ in range(count):
            _, _, _, name, step = struct.unpack_from("<IHHII", data, inner)
            yield _text(data, strings + name)
            if step == 0:
                break
            inner += step
        if following == 0:
            break
        at += following


def _newest(names: Iterable[str]) -> dict[str, Version]:
    found: dict[str, Version] = {}
    for name in names:
        family, _, text = name.partition("_")
        if text and all(part.isdigit() for part in text.split(".")):
            found[family] = max(parse_version(text), found.get(family, ()))
    return found
