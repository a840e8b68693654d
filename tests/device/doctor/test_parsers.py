"""Sections of what the doctor's script says, each by its pure parser."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.doctor import parsers
from slmdeploy.device.doctor.script import split_sections


def test_sections_are_found_by_name():
    assert split_sections("noise\n== a\n1\n== b\n== c\n2\n3\n") == {
        "a": "1\n",
        "b": "",
        "c": "2\n3\n",
    }


def test_the_clock_of_a_board_to_the_nanosecond():
    assert parsers.parse_clock("1795591398 500000000\n") == (1795591398.5, 1795591398.5)


@pytest.mark.parametrize("text", ["1795591398 %N", "1795591398 N", "1795591398"])
def test_the_clock_of_busybox_is_any_moment_of_its_second(text: str):
    assert parsers.parse_clock(text) == (1795591398.0, 1795591399.0)


def test_kernel_user_and_loaders():
    text = "6.6.51 aarch64\nlab\nloader /lib/ld-linux-aarch64.so.1\n"
    expected = parsers.System("6.6.51", "aarch64", "lab", ("/lib/ld-linux-aarch64.so.1",))
    assert parsers.parse_system(text) == expected


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("LONG_BIT 64\nGNU_LIBC_VERSION                   glibc 2.36\n", (2, 36)),
        ("ldd (Ubuntu GLIBC 2.31-0ubuntu9.9) 2.31\nCopyright\n", (2, 31)),
    ],
)
def test_glibc_by_getconf_or_by_ldd(text: str, version: tuple[int, int]):
    assert parsers.parse_getconf(text) == version


def test_a_32_bit_userland_is_told_by_getconf():
    assert parsers.parse_userland_bits("LONG_BIT                           32\n") == 32


@pytest.mark.parametrize(
    ("getconf", "smaps", "size"),
    [("PAGESIZE        16384\n", "4", 16384), ("musl", "16\n", 16384)],
)
def test_pages_by_getconf_or_by_the_kernel(getconf: str, smaps: str, size: int):
    assert parsers.parse_page_bytes(getconf, smaps) == size


def test_libstdcxx_by_the_names_in_it():
    text = "/usr/lib/libstdc++.so.6\nGLIBCXX_3.4.9\nGLIBCXX_3.4.30\nCXXABI_1.3.13\nGLIBCXX_3.4\n"
    found = parsers.parse_library(text)
    assert found.path == "/usr/lib/libstdc++.so.6"
    assert found.versions == {"GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13)}


def test_numpy_counts_only_for_the_boards_own_python():
    text = (
        "Python 3.11.2\nalso 3.9\nalso 3.11\n"
        "numpy /usr/local/lib/python3.9/site-packages/numpy-2.0.1.dist-info\n"
        "numpy /usr/lib/python3/dist-packages/numpy-1.24.2-py3.11.egg-info\n"
    )
    assert parsers.parse_python(text) == parsers.Python((3, 11, 2), (1, 24, 2), ("3.9", "3.11"))


def test_files_by_path_with_colons_in_their_lines():
    text = "/proc/cpuinfo:processor\t: 0\n/proc/cpuinfo:model: x\n/a:\n"
    assert parsers.parse_files(text) == {"/proc/cpuinfo": "processor\t: 0\nmodel: x\n", "/a": "\n"}


@pytest.mark.parametrize(
    "parse",
    [
        parsers.parse_clock,
        parsers.parse_getconf,
        parsers.parse_library,
        parsers.parse_python,
        parsers.parse_system,
        parsers.parse_tools,
        parsers.parse_userland_bits,
        partial(parsers.parse_page_bytes, ""),
    ],
)
@given(text=st.text(max_size=200))
def test_parsers_refuse_rubbish_in_one_way_only(parse: Callable[[str], object], text: str):
    with contextlib.suppress(ValueError):
        parse(text)
