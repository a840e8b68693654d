"""What the doctor's script says, section by section; pure, each ``ValueError`` a reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from slmdeploy.device.facts import parse_glibc
from slmdeploy.runtime.elf import Version, parse_version

__all__ = [
    "Library",
    "Python",
    "System",
    "parse_clock",
    "parse_files",
    "parse_getconf",
    "parse_library",
    "parse_page_bytes",
    "parse_python",
    "parse_system",
    "parse_tools",
    "parse_userland_bits",
]


@dataclass(frozen=True)
class System:
    """Kernel, and what it can start.

    Attributes:
        release: Of the kernel, as ``uname -r``.
        machine: As ``uname -m``: what the kernel is, not what runs on it.
        user: Name of whoever we are there.
        loaders: Dynamic loaders that are installed: which programs can start.
    """

    release: str
    machine: str
    user: str
    loaders: tuple[str, ...]


@dataclass(frozen=True)
class Library:
    """A library of the board: its path, and the newest version that it has of each family."""

    path: str
    versions: Mapping[str, Version]


@dataclass(frozen=True)
class Python:
    """The board's Pythons.

    Attributes:
        version: Of its own ``python3``.
        numpy: Of the numpy for it; ``None`` if none was found.
        others: Further ones by their minor version, as in ``3.10``.
    """

    version: Version
    numpy: Version | None
    others: tuple[str, ...] = ()


def parse_clock(text: str) -> tuple[float, float]:
    """The moment that ``date '+%s %N'`` says, as bounds in seconds since 1970.

    busybox knows no nanoseconds and repeats ``%N``: then it is any moment of that second.
    """
    found = re.fullmatch(r"(-?\d+)(?: (\d{9}|%?N))?", text.strip())
    if not found:
        raise ValueError(f"no time in {text!r}")
    second = int(found[1])
    if found[2] is None or not found[2].isdigit():
        return float(second), second + 1.0
    moment = second + int(found[2]) / 1e9
    return moment, moment


def parse_system(text: str) -> System:
    """Kernel, user and loaders."""
    lines = text.splitlines()
    kernel = lines[0].split() if lines else []
    if len(kernel) != 2:
        raise ValueError(f"uname said {text!r}")
    rest = [line for line in lines[1:] if not line.startswith("loader ")]
    loaders = tuple(line[7:] for line in lines if line.startswith("loader "))
    return System(kernel[0], kernel[1], rest[0].strip() if rest else "", loaders)


def parse_getconf(text: str) -> tuple[int, int]:
    """Version of glibc, from ``getconf -a`` or ``ldd --version``."""
    found = re.search(r"^GNU_LIBC_VERSION\s+(glibc \d+\.\d+)", text, flags=re.MULTILINE)
    return parse_glibc(found[1] if found else text)


def parse_userland_bits(text: str) -> int:
    """Bits of a word of what runs there, from ``getconf -a``."""
    found = re.search(r"^LONG_BIT\s+(32|64)\s*$", text, flags=re.MULTILINE)
    if not found:
        raise ValueError("the board has no getconf")
    return int(found[1])


def parse_page_bytes(getconf: str, smaps: str) -> int:
    """Bytes of a page, from ``getconf -a``, else from ``KernelPageSize`` in KiB."""
    found = re.search(r"^PAGE_?SIZE\s+(\d+)\s*$", getconf, flags=re.MULTILINE)
    if found:
        return int(found[1])
    if smaps.strip().isdigit():
        return int(smaps) * 1024
    raise ValueError("neither getconf nor /proc/self/smaps tells it")


def parse_library(text: str) -> Library:
    """libstdc++: its path, then the names of the versions in it."""
    path, _, names = text.strip().partition("\n")
    if not path.startswith("/"):
        raise ValueError("the board has no libstdc++.so.6")
    newest: dict[str, Version] = {}
    for name in names.split():
        family, _, version = name.partition("_")
        if re.fullmatch(r"\d+(\.\d+)+", version):
            newest[family] = max(parse_version(version), newest.get(family, ()))
    if not newest:
        raise ValueError(f"{path} names no versions")
    return Library(path, newest)


def parse_python(text: str) -> Python:
    """``python3 -V``, then numpy's folders by name."""
    found = re.search(r"^Python (\d+\.\d+\.\d+)", text, flags=re.MULTILINE)
    if not found:
        raise ValueError("the board has no python3")
    version = parse_version(found[1])
    place = f"python{version[0]}.{version[1]}"
    numpy = None
    for path, number in re.findall(r"^numpy (.*)/numpy-(\d[\d.]*\d).*$", text, flags=re.MULTILINE):
        # Debian's own folder has no minor version in its name.
        if place in path or "/python3/" in path:
            numpy = max(parse_version(number), numpy or ())
    others = tuple(re.findall(r"^also (3\.\d+)$", text, flags=re.MULTILINE))
    return Python(version, numpy, others)


def parse_files(text: str) -> dict[str, str]:
    """Text of files by path, from ``grep -H '' FILE...``: each line after ``PATH:``."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        path, colon, rest = line.partition(":")
        if colon and path.startswith("/"):
            found.setdefault(path, []).append(rest)
    return {path: "\n".join(lines) + "\n" for path, lines in found.items()}


def parse_tools(text: str) -> frozenset[str]:
    """Names of the tools that the board has."""
    found = frozenset(line[4:] for line in text.splitlines() if line.startswith("has "))
    if not found:
        raise ValueError("it could not be looked up")
    return found
