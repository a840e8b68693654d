from __future__ import annotations

import os

import pytest

from slmdeploy.device.doctor import host
from slmdeploy.device.doctor.host import check_host, has_failed


@pytest.fixture
def find(monkeypatch, tmp_path):
    """A PATH with nothing on it but what a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)

    def put(name, script):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return put


def by_name():
    return {check.name: check for check in check_host()}


def test_a_computer_without_a_compiler_fails_and_says_how_to_have_one(find):
    compiler = by_name()["compiler"]
    assert (compiler.status, compiler.value) == ("fail", None)
    assert "apt install g++" in compiler.fix
    assert has_failed(check_host())


def test_a_compiler_is_named_by_its_version(find):
    find("g++", 'case "$1" in --version) echo "g++ 12.2.0"; echo more;; esac')
    compiler = by_name()["compiler"]
    assert (compiler.status, compiler.value, compiler.fix) == ("ok", "g++ 12.2.0", None)


def test_a_compiler_without_cxx17_fails(find):
    find("g++", 'case "$1" in --version) echo "g++ 4.8";; *) exit 1;; esac')
    assert by_name()["compiler"].status == "fail"


def test_the_compiler_of_cxx_is_looked_at(find, monkeypatch):
    find("my-cxx", 'echo "mine 1"')
    monkeypatch.setenv("CXX", "my-cxx")
    assert by_name()["compiler"].value == "mine 1"


def test_a_missing_cross_compiler_is_only_a_warning(find):
    check = by_name()["cross compiler"]
    assert check.status == "warn"
    assert "g++-aarch64-linux-gnu" in check.fix


def test_a_cross_compiler_that_does_not_start_counts_as_missing(find):
    find("aarch64-linux-gnu-g++", "exit 1")
    assert by_name()["cross compiler"].value is None


def test_memory_is_read_in_bytes(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:   2048 kB\n")
    assert host._available_bytes(meminfo) == 2048 * 1024


@pytest.mark.parametrize("text", ["", "MemTotal: 9 kB\n"])
def test_memory_that_is_not_told_is_none(tmp_path, text):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(text)
    assert host._available_bytes(meminfo) is None
    assert host._available_bytes(tmp_path / "missing") is None


def test_the_disk_of_a_folder_that_is_yet_to_be_made_is_known(tmp_path):
    free = host._free_bytes(tmp_path / "yet" / "to" / "be")
    assert free is not None
    assert 0 < free <= os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize
