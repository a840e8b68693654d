"""Lets pip download a wheel for another machine, so that its configuration decides the index."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from slmdeploy.errors import OfflineError, UsageError
from slmdeploy.runtime.wheel_pins import PINNED, PinnedWheel

__all__ = ["download_wheel"]


def download_wheel(
    wanted: PinnedWheel,
    folder: Path,
    *,
    again: str,
    platforms: Sequence[str] = (),
    unpinned: bool = False,
) -> Path:
    """Download a wheel and check it.

    Args:
        wanted: Which.
        folder: Where to; need not exist.
        again: The command that the user can try again.
        platforms: Further platforms of its tag that will do.
        unpinned: Also take a wheel whose sha256 is not known.

    Raises:
        UsageError: Its sha256 is not known; nothing was downloaded.
        OfflineError: pip could not get it, or what came has another sha256.
    """
    if wanted.sha256 is None and not unpinned:
        raise _unknown(wanted, again)
    done = subprocess.run(
        _argv(wanted, folder, platforms),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    wheels = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if done.returncode != 0 or len(wheels) != 1:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise OfflineError(
            f"pip could not download {wanted.project} {wanted.version} for {wanted.arch}: "
            f"{said[0]}",
            hint=f"Check the network and 'pip config list', then run: {again}",
        )
    _check_hash(wheels[0], wanted.sha256)
    return wheels[0]


def _argv(wanted: PinnedWheel, folder: Path, platforms: Sequence[str]) -> list[str]:
    argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    argv += ["--no-input", "--disable-pip-version-check", "--quiet", "--dest", str(folder)]
    argv += ["--implementation", "cp", "--python-version", wanted.python]
    argv += ["--abi", f"cp{wanted.python.replace('.', '')}"]
    for platform in (wanted.platform, *platforms):
        argv += ["--platform", platform]
    return [*argv, f"{wanted.project}=={wanted.version}"]


def _unknown(wanted: PinnedWheel, again: str) -> UsageError:
    known = sorted({wheel.version for wheel in PINNED if wheel.project == wanted.project})
    return UsageError(
        f"The sha256 of {wanted.project} {wanted.version} for {wanted.arch} is not known; known: "
        f"{', '.join(known) or 'none'}.",
        hint=f"To use it unchecked, run: {again} --unpinned",
    )


def _check_hash(wheel: Path, wanted: str | None) -> None:
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if wanted is not None and found != wanted:
        raise OfflineError(
            f"{wheel.name} has the sha256 {found}, but {wanted} is expected; it was not used.",
            hint="The index may serve another file. Check 'pip config list' and try again.",
        )
