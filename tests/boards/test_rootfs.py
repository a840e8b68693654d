"""Where the root file system of tier B comes from."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.boards import rootfs
from tests.boards.places import BoardError


def configured(monkeypatch: pytest.MonkeyPatch, targets: str) -> None:
    def run(argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, 0, targets, "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.delenv(rootfs.MIRROR_VARIABLE, raising=False)


def test_the_mirror_is_the_one_of_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (
        "http://mirror.example/debian/ bookworm main\n"
        "http://mirror.example/debian/ bookworm contrib\n"
        "http://mirror.example/security/ bookworm-security main\n"
        "http://other.example/tools stable main\n"
        "http://mirror.example/debian/ bookworm main\n"
    )
    configured(monkeypatch, rows)
    assert rootfs.sources() == (
        "deb http://mirror.example/debian/ bookworm main\n"
        "deb http://mirror.example/security/ bookworm-security main\n"
    )


def test_another_distribution_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, "http://mirror.example/ubuntu noble main\n")
    with pytest.raises(BoardError, match="SLMDEPLOY_BOARDS_MIRROR"):
        rootfs.sources()
    monkeypatch.setenv(rootfs.MIRROR_VARIABLE, "http://mirror.example/debian")
    assert rootfs.sources() == "deb http://mirror.example/debian bookworm main\n"
