"""Each recipe through the exporter: the artifact computes what the compressed model does."""

from __future__ import annotations

import pytest

from slmdeploy.compress.recipe import BUILTIN_RECIPES, EmbeddingSpec, LinearSpec, Recipe
from slmdeploy.target.recipes import refusal
from tests.export.executorch.tiny import (
    CONFIG,
    artifact_logits,
    compressed,
    eager_logits,
    export,
    snr_db,
)

W4, W8 = LinearSpec(scheme="w4"), LinearSpec(scheme="w8")
GROUPED = LinearSpec(scheme="w4", group_size=32)
RECIPES = {
    **{name: r for name, r in BUILTIN_RECIPES.items() if refusal("executorch", r) is None},
    "mixed": Recipe(name="mixed", body=W4, head=W8, embedding=EmbeddingSpec(bits=3)),
    "w4-groups": Recipe(name="w4-groups", body=GROUPED, embedding=EmbeddingSpec(bits=2)),
}
SPARSE = ("sparse50", "sparse24", "sparse50-w8", "sparse24-w8")
FLOAT_GRAPHS = ("none", "fp16", "w8", "w4", "mixed", "w4-groups", *SPARSE)
"""Recipes that differ in what the file holds, not in their graphs."""

CASES = [
    pytest.param(name, kernels, marks=[] if quick else [pytest.mark.slow])
    for kernels, name, quick in (
        *(("llm", name, name in FLOAT_GRAPHS) for name in RECIPES),
        *(("portable", name, False) for name in RECIPES),
    )
]
NORM_BYTES = 4 * CONFIG.hidden_size * (2 * CONFIG.layers + 1 + 8) + 4 * 5
"""Norms, the eight rows that means are taken with, and the numbers of the code; float32."""


@pytest.mark.parametrize(("name", "kernels"), CASES)
def test_the_artifact_computes_what_the_compressed_model_does(
    name, kernels, shared_lowering, tmp_path
):
    model = compressed(RECIPES[name])
    reference = eager_logits(model.module)
    graphs = "float" if name in FLOAT_GRAPHS else name
    path = tmp_path / "model.pte"
    artifact = export(model, path, kernels=kernels, lowering=shared_lowering(kernels, graphs))
    found = artifact_logits(path)
    if name in FLOAT_GRAPHS:
        assert (found - reference).abs().max() <= 1e-5
    else:
        assert snr_db(reference, found) >= 60
    rows = {row.component: row.bytes for row in artifact.bytes_by_component}
    assert sum(rows.values()) == path.stat().st_size
    assert any("plain zeros" in note for note in artifact.notes) == (name in SPARSE)
    # What is left for the norms is right only if every weight was counted as it is stored.
    attention = 0 if kernels == "llm" else 4
    assert rows["norms and other constants"] == NORM_BYTES + attention


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8, 16, 32])
def test_every_width_of_embedding_reads_the_same_rows_on_the_runtime(
    bits, shared_lowering, tmp_path
):
    group = 16 if bits in {3, 4, 7} else None
    recipe = Recipe(name="e", embedding=EmbeddingSpec(bits=bits, group_size=group))
    model = compressed(recipe)
    reference = eager_logits(model.module)
    path = tmp_path / "model.pte"
    export(model, path, lowering=shared_lowering("llm", "float"))
    assert (artifact_logits(path) - reference).abs().max() <= 1e-5


@pytest.mark.slow
def test_every_width_of_weight_takes_less_of_the_file(shared_lowering, tmp_path):
    sizes = [
        export(
            compressed(RECIPES[name]), tmp_path / name, lowering=shared_lowering("llm", "float")
        ).bytes_in_delegates
        for name in ("none", "fp16", "w8", "w4")
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] < 0.6 * sizes[0]


@pytest.mark.slow
def test_float16_weights_are_counted_in_memory_as_the_runtime_widens_them(
    shared_lowering, tmp_path
):
    def packed(name: str) -> int:
        """Bytes of packed weights, up to a constant that all these artifacts share."""
        artifact = export(
            compressed(RECIPES[name]), tmp_path / name, lowering=shared_lowering("llm", "float")
        )
        outside = artifact.path.stat().st_size - artifact.bytes_in_delegates
        return artifact.memory.predicted_peak - artifact.memory.planned - outside

    largest = 4 * CONFIG.hidden_size * 2 * CONFIG.intermediate_size
    # The file is filled up to whole blocks in either.
    assert packed("fp16") - packed("none") == pytest.approx(largest, abs=256)
