"""Decoders through the exporter: packages, recipes, forms of the cache, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from slmdeploy.errors import ExportError
from slmdeploy.export.coreml.plugin import EXPORTER
from slmdeploy.export.mil.package import open_package
from slmdeploy.export.options import CoremlOptions
from tests.export.coreml.tiny import (
    CHUNK,
    CONTEXT,
    OPTIONS,
    TOKENS,
    VOCAB,
    App,
    compressed,
    eager,
    export,
)

PROMPT, STEPS = 21, 4


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("coreml") / "model.mlpackage"
    return export(compressed(), path), path


def test_the_package_has_two_functions_that_share_weights_and_states(made):
    path = made[1]
    package = open_package(path)
    assert package.default_function == "decode"
    assert set(package.functions) == {"decode", "prefill"}
    assert package.deployment_target == "iOS18"
    states = [package.function(name).states for name in ("decode", "prefill")]
    assert states[0] == states[1]
    assert set(states[0]) == {"k_cache", "v_cache"}
    weights = (path / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size
    floats = sum(p.numel() for p in compressed().module.parameters())
    assert weights < 2 * 1.5 * floats + 4 * CONTEXT * 64


def test_attention_is_the_one_operator_that_ios_18_has(made):
    operations = [one.kind for one in open_package(made[1]).function("decode").operations]
    assert operations.count("scaled_dot_product_attention") == 2
    assert "softmax" not in operations
    assert "inverse" not in operations  # it adds 1e-4 to what it divides by
    assert {"sin", "cos"}.isdisjoint(operations)  # angles of late positions would be wrong


def test_the_manifest_knows_functions_states_and_decisions(made):
    artifact, path = made
    decode, prefill = artifact.methods["decode"], artifact.methods["prefill"]
    assert [tensor.name for tensor in decode.inputs] == ["ids", "position"]
    assert [tensor.name for tensor in prefill.inputs] == ["ids", "position", "last"]
    assert prefill.inputs[0].shape == (1, CHUNK)
    assert {tensor.dtype for tensor in prefill.inputs} == {"int32"}
    assert decode.outputs[0].shape == prefill.outputs[0].shape == (1, VOCAB)
    assert decode.outputs[0].dtype == "float16"
    assert [state.name for state in decode.states] == ["k_cache", "v_cache"]
    assert artifact.cache.capacity == CONTEXT
    assert artifact.cache.dtype == "float16"
    rows = {row.component: row.bytes for row in artifact.bytes_by_component}
    assert sum(rows.values()) == sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    assert min(rows.values()) >= 0


@pytest.mark.parametrize(
    "changes",
    [
        {"logits": "all"},
        pytest.param({"cache_update": "onehot"}, marks=pytest.mark.slow),
        pytest.param({"deployment_target": "iOS17"}, marks=pytest.mark.slow),
        pytest.param({"deployment_target": "iOS17", "logits": "all"}, marks=pytest.mark.slow),
    ],
    ids=lambda changes: "-".join(changes.values()),
)
def test_every_form_of_the_cache_gives_the_eager_logits(changes, tmp_path):
    options = OPTIONS.model_copy(update=changes)
    artifact = export(compressed(), tmp_path / "model.mlpackage", options)
    app = App(tmp_path / "model.mlpackage")
    found = app.score(PROMPT, STEPS)
    assert abs(found - eager(compressed(), PROMPT, STEPS)).max() <= 1e-4
    rows = CHUNK if changes.get("logits") == "all" else 1
    assert artifact.methods["prefill"].outputs[0].shape == (rows, VOCAB)


def test_ios_17_gets_a_package_for_each_function(tmp_path):
    options = OPTIONS.model_copy(update={"deployment_target": "iOS17"})
    artifact = export(compressed(), tmp_path / "packages", options)
    assert sorted(one.name for one in (tmp_path / "packages").iterdir()) == [
        "decode.mlpackage",
        "prefill.mlpackage",
    ]
    decode = artifact.methods["decode"]
    assert [tensor.name for tensor in decode.inputs[-2:]] == ["k_cache", "v_cache"]
    assert [tensor.name for tensor in decode.outputs[1:]] == ["k_cache_out", "v_cache_out"]
    assert decode.states == ()
    assert open_package(tmp_path / "packages/decode.mlpackage").deployment_target == "iOS17"


def test_a_padded_chunk_leaves_nothing_behind(made):
    """What fills up a chunk is written to the cache, and the next tokens write over it."""
    app = App(made[1])
    short = app.prefill(TOKENS[:3])
    more = np.concatenate([short, app.call("decode", TOKENS[3:4], 3)])
    assert abs(more - eager(compressed(), 3, 1)).max() <= 1e-4


def test_the_cache_is_made_of_whole_rows_for_the_neural_engine():
    assert EXPORTER.capacity(500, OPTIONS) == 512
    assert EXPORTER.capacity(16, CoremlOptions(prefill_chunk=48)) == 64


def test_a_chunk_longer_than_the_cache_is_refused(tmp_path):
    options = OPTIONS.model_copy(update={"prefill_chunk": CONTEXT + 1})
    with pytest.raises(ExportError, match="609 tokens is longer than the cache of 608"):
        export(compressed(), tmp_path / "model.mlpackage", options)


def test_a_norm_beyond_float16_is_refused_by_name(tmp_path):
    from slmdeploy.compress.quantize import Compressed
    from tests.export.coreml.tiny import decoder

    module = decoder()
    module.norm.weight[3] = 70000.0
    model = Compressed(module, compressed().recipe)
    with pytest.raises(ExportError, match=r"norm\.?w?e?i?g?h?t? has a value of 7e\+04"):
        export(model, tmp_path / "model.mlpackage")
    assert not (tmp_path / "model.mlpackage").exists()
