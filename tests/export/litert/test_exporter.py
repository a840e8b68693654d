"""Decoders through the exporter: the artifact computes what the compressed model does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slmdeploy.compress.recipe import BUILTIN_RECIPES, EmbeddingSpec, LinearSpec, Recipe
from slmdeploy.errors import ExportError
from slmdeploy.export.litert.plugin import LITERT
from slmdeploy.export.litert.traced import traced_logits
from slmdeploy.model.attention import step_logits
from slmdeploy.progress import silent
from slmdeploy.target.recipes import refusal
from tests.export.litert.tiny import (
    CHUNKS,
    CONTEXT,
    CONTINUATION,
    FAMILIES,
    OPTIONS,
    PROMPT,
    VOCAB,
    compressed,
    decoder,
    export,
    score,
    snr_db,
)

EXACT = ("none", "fp16", "w8", "w4", "sparse50-w8", "sparse24-w8")
"""Recipes with float activations: nothing but the order of additions differs."""
RECIPES = {
    **{name: r for name, r in BUILTIN_RECIPES.items() if refusal("litert", r) is None},
    "mixed": Recipe(
        name="mixed",
        body=LinearSpec(scheme="8da4w"),
        head=LinearSpec(scheme="8da8w"),
        embedding=EmbeddingSpec(bits=8),
    ),
    "small-table": Recipe(
        name="small-table", body=LinearSpec(scheme="8da8w"), embedding=EmbeddingSpec(bits=4)
    ),
}


def eager(module) -> np.ndarray:
    return step_logits(module, torch.from_numpy(PROMPT), torch.from_numpy(CONTINUATION)).numpy()


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=[] if name == "qwen2" else [pytest.mark.slow]) for name in FAMILIES],
)
def test_in_float32_prefill_and_32_steps_give_the_eager_logits(
    family, converted, program, tmp_path
):
    model = compressed(RECIPES["none"], family)
    export(model, converted(family), tmp_path / "model.tflite")
    found = score(program, tmp_path / "model.tflite", tmp_path)
    assert abs(found - eager(model.module)).max() <= 1e-4


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_carried_over_exactly(name, converted, program, tmp_path):
    model = compressed(RECIPES[name])
    reference = eager(model.module)
    artifact = export(model, converted(), tmp_path / "model.tflite")
    found = score(program, tmp_path / "model.tflite", tmp_path)
    if name in EXACT:
        assert abs(found - reference).max() <= 1e-4
    else:
        assert snr_db(reference, found) >= 30
    rows = {row.component: row.bytes for row in artifact.bytes_by_component}
    assert sum(rows.values()) == (tmp_path / "model.tflite").stat().st_size
    assert min(rows.values()) >= 0


@pytest.mark.parametrize("length", [1, 3, 4, 5, 8, 12, 15, 44, 45, CONTEXT])
def test_prompts_of_every_length_fill_chunks_as_they_come(length, converted, program, tmp_path):
    """44 and more: the last chunk would reach beyond the cache, and starts earlier."""
    model = compressed(RECIPES["none"])
    export(model, converted(), tmp_path / "model.tflite")
    tokens = np.resize(np.concatenate([PROMPT, CONTINUATION]), CONTEXT)
    rest = tokens[length : length + 2]
    found = score(
        program,
        tmp_path / "model.tflite",
        tmp_path,
        prompt=tokens[:length].tolist(),
        continuation=rest.tolist(),
    )
    wanted = step_logits(model.module, torch.from_numpy(tokens[:length]), torch.from_numpy(rest))
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_the_graphs_in_torch_are_those_of_the_artifact(converted):
    model = compressed(RECIPES["8da8w"])
    assert LITERT.converts(converted()) is False
    found = traced_logits(model.module, CHUNKS[-1], PROMPT, CONTINUATION)
    assert snr_db(eager(model.module), found) >= 60


def test_the_manifest_knows_signatures_cache_and_decisions(converted, tmp_path):
    artifact = export(compressed(RECIPES["8da8w"]), converted(), tmp_path / "model.tflite")
    assert list(artifact.methods) == ["decode", "prefill_4", "prefill_8"]
    decode, prefill = artifact.methods["decode"], artifact.methods["prefill_8"]
    assert [tensor.name for tensor in decode.inputs[:2]] == ["tokens", "position"]
    assert [tensor.name for tensor in prefill.inputs[:3]] == ["tokens", "position", "last"]
    assert {tensor.dtype for tensor in prefill.inputs[:3]} == {"int32"}
    assert decode.outputs[0].name == prefill.outputs[0].name == "logits"
    assert decode.outputs[0].shape == prefill.outputs[0].shape == (1, VOCAB)
    assert decode.outputs[1].shape == (2, 1, 16)  # the new keys alone, not the cache
    assert artifact.cache.capacity == artifact.context == CONTEXT
    assert decode.operators["FULLY_CONNECTED"] >= 1
    assert any("int32" in note for note in artifact.notes)


def test_all_rows_come_out_where_they_are_asked_for(converted, program, tmp_path):
    model = compressed(RECIPES["none"])
    folder = converted(logits="all")
    artifact = export(model, folder, tmp_path / "model.tflite", logits="all")
    assert artifact.methods["prefill_8"].outputs[0].shape == (8, VOCAB)
    found = score(program, tmp_path / "model.tflite", tmp_path)
    assert abs(found - eager(model.module)).max() <= 1e-4


def test_a_tied_table_of_one_form_is_in_the_file_once(converted, tmp_path):
    sizes = {}
    for name in ("8da8w", "8da4w", "none", "fp16"):
        rows = export(compressed(RECIPES[name]), converted(), tmp_path / name).bytes_by_component
        sizes[name] = {row.component: row.bytes for row in rows}
    table = VOCAB * 64
    assert sizes["none"]["embedding and head"] == 4 * table
    assert sizes["fp16"]["embedding and head"] == 2 * table
    assert sizes["8da8w"]["embedding and head"] == table
    assert sizes["8da4w"]["head"] == table // 2
    assert sizes["8da4w"]["embedding and tables"] >= table


def test_a_chunk_longer_than_the_context_is_refused(tmp_path):
    options = OPTIONS.model_copy(update={"prefill_chunks": (CONTEXT + 1,)})
    with pytest.raises(ExportError, match="49 tokens is longer than the context of 48"):
        LITERT.convert(decoder(), options, tmp_path, silent)
    assert LITERT.converts(tmp_path)
