from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.errors import CompilerError, MissingExtraError
from slmdeploy.runtime import toolchain
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.runtime.toolchain import Toolchain, find_toolchain, glibc_needed, parse_glibc
from slmdeploy.runtime.wheel import host_arch


def test_the_compiler_of_this_computer_is_found() -> None:
    found = find_toolchain(host_arch())
    assert Path(found.compiler).name == "g++"
    assert found.version


@pytest.mark.parametrize(
    ("host", "arch", "package"),
    [
        ("x86_64", "x86_64", "g++"),
        ("x86_64", "aarch64", "g++-aarch64-linux-gnu"),
        ("aarch64", "aarch64", "g++"),
        ("aarch64", "x86_64", "g++-x86-64-linux-gnu"),
    ],
)
def test_without_a_compiler_the_package_to_install_is_named(
    monkeypatch: pytest.MonkeyPatch, host: str, arch: str, package: str
) -> None:
    monkeypatch.setattr(toolchain, "host_arch", lambda: host)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(CompilerError) as caught:
        find_toolchain(arch)
    assert caught.value.hint == f"Run: sudo apt install {package}"


def test_a_compiler_without_cxx17_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "_version", lambda _: ("g++ 7.5.0", 7))
    with pytest.raises(CompilerError, match="version 7"):
        find_toolchain(host_arch())


def test_something_that_is_no_compiler_is_refused() -> None:
    with pytest.raises(CompilerError, match="does not tell its version"):
        toolchain._version("/bin/true")


@pytest.mark.parametrize("text", ["3.1", "2", "2.x", "", "2.31.1", "glibc 2.31"])
def test_what_is_no_version_of_glibc_is_refused(text: str) -> None:
    with pytest.raises(CompilerError, match=r"not a version"):
        parse_glibc(text)


@given(st.integers(0, 99))
def test_versions_of_glibc_are_numbers(minor: int) -> None:
    assert parse_glibc(f"2.{minor}") == (2, minor)


@pytest.mark.parametrize(
    ("strings", "needed"),
    [
        (b"\0libc.so.6\0GLIBC_2.17\0GLIBC_2.9\0", (2, 17)),
        (b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBCXX_3.4.30\0", (2, 34)),
        (b"\0GLIBCXX_3.4.21\0CXXABI_1.3\0", (2, 0)),
        (b"\0wants GLIBC_2.99\0GLIBC_PRIVATE\0", (2, 0)),
    ],
)
def test_the_newest_glibc_that_a_file_names_is_the_one_it_needs(
    tmp_path: Path, strings: bytes, needed: tuple[int, int]
) -> None:
    (tmp_path / "lib").write_bytes(b"\x7fELF" + bytes(60) + strings)
    assert glibc_needed(tmp_path / "lib") == needed


def test_the_wheels_libraries_need_no_newer_glibc_than_2_27(files: RunnerFiles) -> None:
    needs = {name: glibc_needed(path) for name, path in files.files.items() if "executorch" in name}
    assert max(needs.values()) <= (2, 27), needs


def test_an_old_glibc_without_zig_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ziglang", None)
    monkeypatch.setattr(toolchain, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="'cross'"):
        Toolchain("g++", "", "aarch64").zig_link((2, 31))
