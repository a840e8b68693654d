"""Bring a model to this computer; the only step that uses the network."""

from __future__ import annotations

from pathlib import Path

from slmdeploy.errors import OfflineError, UsageError
from slmdeploy.model.model import Model
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import ModelRef, parse_ref
from slmdeploy.progress import Progress
from slmdeploy.runtime.wheel import fetch_wheel, find_wheel
from slmdeploy.runtime.wheel_packages import (
    fetch_package,
    find_package,
    numpy_wheel,
    runtime_wheel,
)
from slmdeploy.steps.outcomes import Fetched

__all__ = ["fetch_any", "fetch_model", "fetch_python_runtime", "fetch_runtime"]


def fetch_any(
    model: str,
    arch: str,
    runtime: str,
    python: str,
    *,
    unpinned: bool,
    dry_run: bool,
    progress: Progress,
) -> Fetched:
    """Fetch a model, or where it is called ``runtime`` what boards need.

    Args:
        model: ``demo``, a hub id or ``runtime``.
        arch: Of the runtime.
        runtime: ``executorch``, ``litert`` or ``tflite-runtime``.
        python: The board's Python, as in ``3.11``; for the latter two.
        unpinned: Also take an ``executorch`` whose sha256 is not known.
        dry_run: Only say whether it is here.
        progress: Is told of the download.

    Raises:
        UsageError: As ``fetch_model``.
        OfflineError: As ``fetch_model``.
    """
    if model != "runtime":
        return fetch_model(model, dry_run=dry_run, progress=progress)
    if runtime != "executorch":
        return fetch_python_runtime(runtime, python, arch, dry_run=dry_run, progress=progress)
    return fetch_runtime(arch, unpinned=unpinned, dry_run=dry_run, progress=progress)


def fetch_model(text: str, *, dry_run: bool, progress: Progress) -> Fetched:
    """Fetch ``demo`` or a hub id, unless it is here.

    Raises:
        UsageError: ``text`` names something that is on this computer anyway.
        OfflineError: The network is away, or with ``dry_run`` the model is not here.
    """
    ref = parse_ref(text)
    if ref.kind not in ("demo", "hub"):
        raise UsageError(f"{text!r} is on this computer; only 'demo' and hub ids are fetched.")
    there = _here(ref)
    if there is None:
        if dry_run:
            raise OfflineError(f"{text!r} is not here.", hint=f"Run: slmdeploy fetch {text}")
        model = read_model(ref, fetch=True, progress=progress)
        return _fetched(model, already_there=False)
    return _fetched(there, already_there=True)


def fetch_runtime(
    arch: str, *, unpinned: bool = False, dry_run: bool, progress: Progress
) -> Fetched:
    """Fetch ExecuTorch's libraries for an architecture, unless they are here.

    Args:
        arch: ``aarch64`` or ``x86_64``.
        unpinned: Also take a version whose sha256 is not known.
        dry_run: Only say whether they are here.
        progress: Is told of the download.

    Raises:
        UsageError: The installed version's sha256 is not known.
        OfflineError: The network is away, or with ``dry_run`` they are not here.
    """
    try:
        wheel, there = find_wheel(arch), True
    except OfflineError:
        if dry_run:
            raise
        wheel, there = fetch_wheel(arch, unpinned=unpinned, progress=progress), False
    return Fetched(
        name=f"executorch {wheel.version} for {arch}",
        path=wheel.lib,
        bytes=_size(wheel.lib),
        already_there=there,
        license="BSD-3-Clause",
    )


def fetch_python_runtime(
    runtime: str, python: str, arch: str, *, dry_run: bool, progress: Progress
) -> Fetched:
    """Fetch a runtime for a Python of boards, and the numpy that goes with it.

    Args:
        runtime: ``litert`` or ``tflite-runtime``.
        python: Version of the board's Python, as in ``3.11``.
        arch: ``aarch64`` or ``x86_64``.
        dry_run: Only say whether they are here.
        progress: Is told of the download.

    Raises:
        UnknownNameError: There is none for this Python.
        OfflineError: The network is away, or with ``dry_run`` they are not here.
    """
    wheels = (runtime_wheel(runtime, python, arch), numpy_wheel(runtime, python, arch))
    try:
        folders, there = [find_package(wheel, runtime) for wheel in wheels], True
    except OfflineError:
        if dry_run:
            raise
        folders = [fetch_package(wheel, runtime, progress=progress) for wheel in wheels]
        there = False
    own, numpy = wheels
    return Fetched(
        name=f"{own.project} {own.version} for Python {python} on {arch}",
        path=folders[0],
        bytes=sum(_size(folder) for folder in folders),
        already_there=there,
        license="Apache-2.0",
        note=f"With numpy {numpy.version} (BSD-3-Clause), for boards that have none that fits: "
        f"{folders[1]}",
    )


def _size(path: Path) -> int:
    files = [path] if path.is_file() else list(path.rglob("*"))
    return sum(file.stat().st_size for file in files if file.is_file())


def _here(ref: ModelRef) -> Model | None:
    try:
        return read_model(ref)
    except OfflineError:
        return None


def _fetched(model: Model, *, already_there: bool) -> Fetched:
    return Fetched(
        name=model.name,
        path=model.path,
        bytes=_size(model.path),
        already_there=already_there,
        license=model.license,
        note=model.note,
    )
