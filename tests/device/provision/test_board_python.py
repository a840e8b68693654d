from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.provision.board_python import (
    Interpreter,
    parse_interpreters,
    read_interpreters,
)
from slmdeploy.transport.local import LocalTransport

SAID = {
    "path": "/usr/bin/python3",
    "version": "3.11.2",
    "abi": "cpython-311-aarch64-linux-gnu",
    "numpy": "1.24.2",
}
PI = Interpreter("/usr/bin/python3", "3.11.2", "cpython-311-aarch64-linux-gnu", "1.24.2")


def test_a_python_says_what_it_is() -> None:
    assert parse_interpreters(json.dumps(SAID)) == (PI,)


def test_what_it_says_besides_is_passed_over() -> None:
    text = f"Warning: old\n{json.dumps(SAID)}\n[1]\n{{}}\n3\nnull\n"
    assert parse_interpreters(text) == (PI,)


def test_a_python_without_numpy_has_none() -> None:
    (found,) = parse_interpreters(json.dumps({**SAID, "numpy": None}))
    assert found.numpy_version() is None


def test_versions_are_numbers() -> None:
    assert PI.minor == "3.11"
    assert PI.numpy_version() == (1, 24, 2)
    assert Interpreter("p", "3.12.0", None, "2.0.0rc1").numpy_version() == (2, 0, 0)


@pytest.mark.parametrize(
    "abi",
    [
        "cpython-311-arm-linux-gnueabihf",  # Raspberry Pi OS of 32 bits
        "cpython-311-aarch64-linux-musl",
        "cpython-311t-aarch64-linux-gnu",
        "cpython-312-aarch64-linux-gnu",
        "pypy311-pp73-aarch64-linux-gnu",
        None,
    ],
)
def test_wheels_are_for_cpython_with_glibc_of_the_architecture(abi: str | None) -> None:
    assert PI.runs("aarch64")
    assert not Interpreter("p", "3.11.2", abi, None).runs("aarch64")


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert isinstance(parse_interpreters(text), tuple)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is all of the board's PATH but its tools."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in ("sh", "readlink"):
        (programs / tool).symlink_to(str(shutil.which(tool)))
    monkeypatch.setenv("PATH", str(programs))
    return programs


def add(board: Path, name: str, version: str) -> None:
    said = json.dumps({**SAID, "version": version}).replace("/usr/bin/python3", "%s")
    program = board / name
    program.write_text(f"#!/bin/sh\nprintf '{said}\\n' \"$3\"\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_the_boards_own_python_comes_first_and_each_once(board: Path, tmp_path: Path) -> None:
    add(board, "python3.11", "3.11.2")
    add(board, "python3.8", "3.8.10")
    (board / "python3").symlink_to("python3.11")
    found = read_interpreters(LocalTransport(root=tmp_path / "home"))
    assert [(p.path, p.version) for p in found] == [
        (f"{board}/python3", "3.11.2"),
        (f"{board}/python3.8", "3.8.10"),
    ]


def test_a_python_that_does_not_start_is_none(board: Path, tmp_path: Path) -> None:
    (board / "python3").write_text("#!/bin/sh\nexit 1\n")
    (board / "python3").chmod(0o755)
    assert read_interpreters(LocalTransport(root=tmp_path / "home")) == ()


def test_a_board_without_python_has_none(board: Path, tmp_path: Path) -> None:
    assert read_interpreters(LocalTransport(root=tmp_path / "home")) == ()


def test_a_real_python_answers(tmp_path: Path) -> None:
    found = read_interpreters(LocalTransport(root=tmp_path / "home"))
    assert found
    assert all(python.runs(os.uname().machine) for python in found if python.abi)
