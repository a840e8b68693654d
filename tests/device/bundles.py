"""Small bundles and runners to push."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from slmdeploy.bundle.manifest import (
    ArtifactInfo,
    FileInfo,
    GoldenInfo,
    Manifest,
    MemoryInfo,
    ModelInfo,
)
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.runtime.protocol import RunnerFiles

CONTENT = {
    "model.pte": b"program" * 20_000,
    "LICENSE": b"Apache-2.0\n",
    "golden.npz": b"golden" * 1000,
    "tokenizer.json": b"{}",
}


def make_bundle(folder: Path, name: str = "tiny--rpi5", **changed: bytes) -> tuple[Path, Manifest]:
    """A bundle of made-up content; ``changed`` replaces the artifact (``model=...``)."""
    content = dict(CONTENT)
    if "model" in changed:
        content["model.pte"] = changed["model"]
    folder.mkdir(parents=True, exist_ok=True)
    for path, data in content.items():
        (folder / path).write_bytes(data)
    files = {
        path: FileInfo(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for path, data in content.items()
    }
    manifest = _manifest(name, files)
    (folder / "manifest.json").write_text(json.dumps(manifest.model_dump(mode="json")))
    return folder, manifest


def make_runner(folder: Path) -> RunnerFiles:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runner").write_bytes(b"#!/bin/sh\necho started\n")
    (folder / "kernels.so").write_bytes(b"kernels" * 5000)
    return RunnerFiles(
        files={"slmd-runner": folder / "runner", "lib/kernels.so": folder / "kernels.so"},
        executable="slmd-runner",
        libraries=("lib/kernels.so",),
    )


def _manifest(name: str, files: dict[str, FileInfo]) -> Manifest:
    artifact = files["model.pte"]
    return Manifest(
        name=name,
        created="2026-01-01T00:00:00Z",
        model=ModelInfo(
            name="tiny",
            source="tiny",
            kind="generic",
            architecture="none",
            parameters=1,
            dtype="float32",
            license=None,
            weights_sha256="0" * 64,
        ),
        recipe=BUILTIN_RECIPES["none"],
        target="rpi5-executorch",
        artifact=ArtifactInfo(
            file="model.pte",
            bytes=artifact.bytes,
            sha256=artifact.sha256,
            runtime="executorch",
            kernels=None,
            methods={},
            bytes_by_component=(),
            bytes_in_delegates=0,
        ),
        memory=MemoryInfo(planned=0, predicted_peak=0, method="made up"),
        tokenizer=None,
        golden=GoldenInfo(file="golden.npz", rungs=()),
        files=files,
        provenance={},
    )
