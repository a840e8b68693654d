"""This computer as a poor board: nothing but busybox, or no setsid."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = [
    *("cat", "cd", "cut", "env", "grep", "head", "kill", "ln", "ls", "mkdir", "mkfifo", "mv"),
    *("printf", "ps", "pwd", "readlink", "rm", "sed", "seq", "sh", "sleep", "sort", "stat"),
    *("sync", "tail", "tee", "test", "touch", "tr", "true", "wc", "id", "sha256sum"),
]


def use_busybox(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands of this computer find busybox alone."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("no busybox is installed")
    folder.mkdir()
    names = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for name in names.stdout.split():
        (folder / name).symlink_to(busybox)
    monkeypatch.setenv("PATH", str(folder))


def hide_setsid(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands of this computer find the usual tools, and no setsid."""
    folder.mkdir()
    for name in TOOLS:
        if (found := shutil.which(name)) is not None:
            (folder / name).symlink_to(os.path.realpath(found))
    monkeypatch.setenv("PATH", str(folder))
