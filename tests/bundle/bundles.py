"""Small bundles, staged or finished."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from slmdeploy.bundle.folder import Bundle, finish
from slmdeploy.bundle.manifest import (
    ArtifactInfo,
    CacheInfo,
    GoldenInfo,
    Manifest,
    MemoryInfo,
    ModelInfo,
)
from slmdeploy.compress.recipe import BUILTIN_RECIPES

ARTIFACT = b"artifact"
PROMPT = np.array([1, 2, 3], dtype=np.int64)


def manifest(**changed: object) -> Manifest:
    """The manifest of a bundle that is not finished: no files are listed yet."""
    made = Manifest(
        name="tiny--local-executorch",
        created="2026-01-02T03:04:05Z",
        model=ModelInfo(
            name="tiny",
            source="tiny",
            kind="decoder",
            architecture="LlamaForCausalLM",
            parameters=1,
            dtype="float32",
            license=None,
            weights_sha256="0" * 64,
        ),
        recipe=BUILTIN_RECIPES["8da4w-head8"],
        target="local-executorch",
        artifact=ArtifactInfo(
            file="model.pte",
            bytes=len(ARTIFACT),
            sha256="0" * 64,
            runtime="executorch",
            kernels="llm",
            methods={},
            bytes_by_component=(),
            bytes_in_delegates=0,
        ),
        memory=MemoryInfo(planned=0, predicted_peak=0, method="none"),
        tokenizer=None,
        tokenizer_reason="The model has none.",
        golden=GoldenInfo(file="golden.npz", rungs=("source",)),
        files={},
        provenance={},
    )
    return made.model_copy(update=changed)


def decoder(artifact: Mapping[str, object], **changed: object) -> Manifest:
    """The same of a decoder with a cache that an app drives.

    Args:
        artifact: What its artifact has in the place of the usual.
        **changed: The same of the manifest.
    """
    made = manifest(context=500, prefill_chunk=128, logits="last")
    cache = CacheInfo(layout="[layers]", dtype="float16", layers=2, capacity=512, bytes=4096)
    about = {"artifact": made.artifact.model_copy(update=artifact), "cache": cache, **changed}
    return made.model_copy(update=about)


def stage(folder: Path, artifact: bytes = ARTIFACT) -> Path:
    """A folder with every file but the manifest."""
    folder.mkdir(parents=True)
    (folder / "model.pte").write_bytes(artifact)
    golden = io.BytesIO()
    np.savez(golden, prompt=PROMPT)
    (folder / "golden.npz").write_bytes(golden.getvalue())
    return folder


def make(final: Path, artifact: bytes = ARTIFACT) -> Bundle:
    """A finished bundle."""
    return finish(manifest(), stage(final.with_name("staging"), artifact), final)
