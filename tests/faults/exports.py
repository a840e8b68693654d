"""Bundles to send: the small trained model in several recipes, and a large one of made-up bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from slmdeploy import pipeline
from tests.device.bundles import make_bundle
from tests.runtime.conftest import only_one

MIB = 1 << 20
ROOT = Path(__file__).resolve().parents[2]
CONTEXT = 256
# Short prompts: an emulated processor works on a chunk for as long as it is, whatever is in it.
TARGET = """extends = "{}-executorch"
description = "An emulated board"
threads = 1
[export]
prefill_chunk = 16
"""
# What decides how a bundle comes out.
_ROOMS = ("model", "compress", "export")


def exported(request: pytest.FixtureRequest, recipe: str, board: str = "rpi5") -> Path:
    """tiny-kjv in a recipe; kept in pytest's cache until what makes it changes.

    Args:
        request: Of the fixture that asks.
        recipe: Its name.
        board: As in the names of targets.
    """
    place = request.config.cache.mkdir(f"faults-{board}-{recipe}")
    decisive, done = _decisive(recipe, board), place / "done"
    with only_one(place):
        if not done.exists() or done.read_text() != decisive:
            _export(place, recipe, board)
            done.write_text(decisive)
    (bundle,) = (place / "bundles").iterdir()
    return bundle


def padded(folder: Path, name: str = "padded", *, size: int = 30 * MIB) -> Path:
    """A bundle with a valid manifest whose artifact is made-up bytes, to be sent and not run."""
    path, _ = make_bundle(folder / name, name, model=os.urandom(size))
    return path


def changed(bundle: Path, folder: Path, at: int) -> Path:
    """A bundle as another but for one byte of its artifact: what an update is."""
    data = bytearray((bundle / "model.pte").read_bytes())
    data[at] ^= 1
    path, _ = make_bundle(folder / "changed", bundle.name, model=bytes(data))
    return path


def _export(place: Path, recipe: str, board: str) -> None:
    shutil.rmtree(place / "bundles", ignore_errors=True)
    (place / "emulated.toml").write_text(TARGET.format(board))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's and the exporter's own
        (attempt,) = pipeline.export(
            str(ROOT / "fixtures/models/tiny-kjv"),
            [str(place / "emulated.toml")],
            recipe=recipe,
            context=CONTEXT,
            output=place / "bundles",
            verify=False,
        )
    if attempt.error is not None:
        raise attempt.error


def _decisive(recipe: str, board: str) -> str:
    """A digest of all that decides how a bundle comes out."""
    versions = [metadata.version(name) for name in ("executorch", "torch", "torchao")]
    digest = hashlib.sha256(repr((recipe, board, TARGET, versions)).encode())
    for path in _sources():
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    for room in _ROOMS:
        yield from sorted((ROOT / "slmdeploy" / room).rglob("*.py"))
    yield ROOT / "slmdeploy/bundle/manifest.py"
    yield Path(__file__)
