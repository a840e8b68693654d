"""ELF files as the dynamic loader sees them, held against what binutils says of them."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.errors import OfflineError
from slmdeploy.runtime.elf import Elf, merge_needs, parse_elf, parse_version, read_elf
from slmdeploy.runtime.wheel import LIBRARIES, find_wheel

PROGRAM = Path(sys.executable).resolve()


def readelf(*argv: str) -> str:
    program = shutil.which("readelf")
    if program is None:
        pytest.skip("no readelf is installed (apt-get install binutils)")
    return subprocess.run([program, *argv], capture_output=True, text=True, check=True).stdout


def test_the_versions_are_those_that_binutils_finds():
    names = re.findall(r"Name: (\w+?)_([\d.]+) ", readelf("-VW", str(PROGRAM)))
    expected: dict[str, tuple[int, ...]] = {}
    for family, version in names:
        expected[family] = max(parse_version(version), expected.get(family, ()))
    assert read_elf(PROGRAM).versions == expected
    assert expected["GLIBC"] >= (2, 2)


def test_the_alignment_and_the_libraries_are_those_that_binutils_finds():
    loads = re.findall(r"^ +LOAD .* (0x[0-9a-f]+)$", readelf("-lW", str(PROGRAM)), re.MULTILINE)
    named = re.findall(r"\(NEEDED\).*\[(.+)\]", readelf("-dW", str(PROGRAM)))
    found = read_elf(PROGRAM)
    assert found.align == min(int(text, 16) for text in loads)
    assert list(found.libraries) == named


def test_a_library_of_another_architecture_tells_as_much():
    try:
        wheel = find_wheel("aarch64")
    except OfflineError as error:
        pytest.skip(str(error))
    files = [read_elf(wheel.lib / name) for name in LIBRARIES]
    assert {(file.machine, file.bits) for file in files} == {("aarch64", 64)}
    assert min(file.align or 0 for file in files) == 65536
    needs = merge_needs(files)
    assert (needs["GLIBC"], needs["GLIBCXX"], needs["CXXABI"]) == (
        (2, 27),
        (3, 4, 22),
        (1, 3, 11),
    )


def test_the_newest_need_of_several_files_counts():
    files = [
        Elf("aarch64", 64, 65536, {"GLIBC": (2, 9)}),
        Elf("aarch64", 64, 65536, {"GLIBC": (2, 17), "GLIBCXX": (3, 4)}),
    ]
    assert merge_needs(files) == {"GLIBC": (2, 17), "GLIBCXX": (3, 4)}


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF\x02\x02", b"\x7fELF\x09\x01"])
def test_what_is_no_elf_file_is_refused(data: bytes):
    with pytest.raises(ValueError, match="ELF"):
        parse_elf(data)


@given(cut=st.integers(0, 4096), at=st.integers(0, 2048), byte=st.integers(0, 255))
def test_a_damaged_file_is_refused_in_one_way_only(cut: int, at: int, byte: int):
    data = bytearray(PROGRAM.read_bytes()[: 4096 - cut])
    data[at : at + 1] = bytes([byte])
    with contextlib.suppress(ValueError):
        parse_elf(bytes(data))
