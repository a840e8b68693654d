"""Bring a model to this computer; the only step that uses the network."""

from __future__ import annotations

from pathlib import Path

from slmdeploy.errors import OfflineError, UsageError
from slmdeploy.model.model import Model
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import ModelRef, parse_ref
from slmdeploy.progress import Progress
from slmdeploy.runtime.wheel import fetch_wheel, find_wheel
from slmdeploy.steps.outcomes import Fetched

__all__ = ["fetch_model", "fetch_runtime"]


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


def fetch_runtime(arch: str, *, dry_run: bool, progress: Progress) -> Fetched:
    """Fetch ExecuTorch's libraries for an architecture, unless they are here.

    Raises:
        OfflineError: The network is away, or with ``dry_run`` they are not here.
    """
    try:
        wheel, there = find_wheel(arch), True
    except OfflineError:
        if dry_run:
            raise
        wheel, there = fetch_wheel(arch, progress=progress), False
    return Fetched(
        name=f"executorch {wheel.version} for {arch}",
        path=wheel.lib,
        bytes=_size(wheel.lib),
        already_there=there,
        license="BSD-3-Clause",
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
