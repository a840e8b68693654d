"""Two real exports of one model share the chunks of what did not change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from slmdeploy import pipeline
from slmdeploy.bundle.chunks import hash_chunks

pytestmark = pytest.mark.slow
EMBEDDING = 2048 * 128
"""Bytes: int8."""


def chunks_of(model: Path, output: Path, recipe: str) -> dict[str, int]:
    (attempt,) = pipeline.export(
        str(model), ["local-executorch"], recipe=recipe, context=256, output=output, verify=False
    )
    assert attempt.value is not None, attempt.error
    _, chunks = hash_chunks(attempt.value.bundle / "model.pte")
    return {chunk.sha256: chunk.bytes for chunk in chunks}


def shared(mine: dict[str, int], other: dict[str, int]) -> int:
    return sum(size for sha, size in other.items() if sha in mine)


@pytest.fixture(scope="module")
def first(tiny_kjv: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    return chunks_of(tiny_kjv, tmp_path_factory.mktemp("first"), "8da4w")


def test_a_changed_weight_leaves_the_embedding_and_the_other_weights(
    first: dict[str, int], tiny_kjv: Path, tmp_path: Path
):
    from safetensors.numpy import load_file, save_file

    model = tmp_path / "model"
    shutil.copytree(tiny_kjv, model)
    model.chmod(0o755)
    weights = load_file(model / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"] += 0.25
    (model / "model.safetensors").unlink()
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    other = chunks_of(model, tmp_path / "out", "8da4w")
    assert sum(other.values()) - shared(first, other) < sum(other.values()) * 0.3
    assert shared(first, other) > EMBEDDING


def test_another_recipe_for_the_head_keeps_the_embedding_and_the_layers(
    first: dict[str, int], tiny_kjv: Path, tmp_path: Path
):
    quantized = chunks_of(tiny_kjv, tmp_path / "out", "8da4w-head8")
    assert shared(first, quantized) > 2 * EMBEDDING
