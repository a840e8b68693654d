"""A pip that needs no network: it "downloads" a wheel that the test has made."""

from __future__ import annotations

import hashlib
import io
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

_DAY = (2020, 1, 1, 0, 0, 0)


def wheel_of(members: Mapping[str, str]) -> bytes:
    """A zip of text files, the same bytes for the same files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name, _DAY), text)
    return out.getvalue()


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def give(monkeypatch: pytest.MonkeyPatch, wheels: Mapping[str, bytes]) -> list[list[str]]:
    """Let pip find these wheels, by project; gives the commands that will be run."""
    commands: list[list[str]] = []

    def fake(argv: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(list(argv))
        project, _, version = argv[-1].partition("==")
        if project not in wheels:
            return subprocess.CompletedProcess(
                argv, 1, "", "Looking\nERROR: No matching distribution"
            )
        target = Path(argv[argv.index("--dest") + 1])
        target.mkdir(parents=True, exist_ok=True)
        name = f"{project.replace('-', '_')}-{version}-cp311-cp311-any.whl"
        (target / name).write_bytes(wheels[project])
        return subprocess.CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(subprocess, "run", fake)
    return commands


def names(folder: Path) -> list[str]:
    """What is in a folder of the cache but locks."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")
