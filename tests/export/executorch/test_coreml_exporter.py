"""Decoders and modules through the exporter of the Core ML delegate, run by the evaluator."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slmdeploy.compress.generic import compress_module
from slmdeploy.compress.quantize import compress
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.errors import ExportError
from slmdeploy.export.executorch.coreml_plugin import EXPORTER
from slmdeploy.export.executorch.delegated import read_delegated
from slmdeploy.export.mil.package import open_package
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.export.plugin import find_exporter
from slmdeploy.model.attention import EagerAttention
from slmdeploy.progress import silent
from slmdeploy.runtime.coreml import EvaluatorEngine
from slmdeploy.runtime.delegated import DelegateEngine
from slmdeploy.target.recipes import refusal
from tests.export.coreml.modules import Scores
from tests.export.coreml.test_carry import decoder

OPTIONS = ExecutorchOptions(backend="coreml", prefill_chunk=8)
PROMPT = np.array([5, 9, 17, 3, 60, 44, 2, 8, 11, 30, 7], np.int64)
CONTINUATION = np.array([21, 4, 90], np.int64)
RECIPES = [name for name, r in BUILTIN_RECIPES.items() if not r.body.scheme.startswith("8da")]
QUICK = "w4-g32"


def compressed(name: str):
    recipe = BUILTIN_RECIPES[name].model_copy(update={"floats": "fp16"})
    return compress(decoder(), recipe)


def export(model, path, options=OPTIONS, golden=(PROMPT, CONTINUATION)):
    return EXPORTER.export(
        model,
        options,
        path,
        context=model.module.positions,
        converted=path.parent,
        golden=golden,
        progress=silent,
    )


def eager(model) -> np.ndarray:
    tokens = torch.from_numpy(np.concatenate([PROMPT, CONTINUATION]))
    attention = EagerAttention(model.module.config, len(tokens))
    with torch.no_grad():
        every = model.module(tokens[None], 0, attention, last_only=False)
    return np.asarray(every[len(PROMPT) - 1 :])


def score(artifact, chunk: int = 8) -> np.ndarray:
    """Logits as an app gets them: the cache goes from each call to the next."""
    engine = DelegateEngine(
        artifact.path, artifact.methods, lambda package: EvaluatorEngine(package, "fp32")
    )
    engine.start()
    shape = artifact.methods["decode"].inputs[-1].shape
    cache = {name: np.zeros(shape, np.float16) for name in ("k_cache", "v_cache")}

    def call(method, tokens, place):
        nonlocal cache
        size = 1 if method == "decode" else chunk
        ids = np.zeros((1, size), np.int32)
        ids[0, : len(tokens)] = tokens
        given = {"ids": ids, "position": np.array([place], np.int32), **cache}
        given["last"] = np.array([len(tokens) - 1], np.int32)
        found = engine.call(method, given)
        cache = {name: found[f"{name}_out"] for name in cache}
        rows = found["logits"]
        return rows[0] if len(rows) == 1 else rows[len(tokens) - 1]

    for start in range(0, len(PROMPT), chunk):
        row = call("prefill", PROMPT[start : start + chunk], start)
    rows = [row]
    for index, token in enumerate(CONTINUATION):
        rows.append(call("decode", [token], len(PROMPT) + index))
    return np.stack(rows).astype(np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    model = compressed(QUICK)
    return export(model, tmp_path_factory.mktemp("delegate") / "model.pte"), model


def test_it_is_found_under_the_name_that_a_target_asks_for():
    assert find_exporter("executorch-coreml") is EXPORTER


def test_prefill_and_decode_compute_what_the_compressed_model_does(made):
    artifact, model = made
    assert np.abs(score(artifact) - eager(model)).max() < 1e-4
    assert np.abs(artifact.traced - eager(model)).max() < 1e-4


def test_weights_are_in_the_file_once_as_they_were_compressed(made, tmp_path):
    artifact, _ = made
    inner = read_delegated(artifact.path, tmp_path)
    package = open_package(inner.package)
    for name in ("decode", "prefill"):
        kinds = [one.kind for one in package.function(name).operations]
        assert kinds.count("constexpr_blockwise_shift_scale") == 5  # four layers, the tied table
        assert kinds.count("scaled_dot_product_attention") == 1
    weights = (inner.package / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size
    parameters = sum(p.numel() for p in decoder().parameters())
    assert weights < 2 * parameters  # 4 bits, twice would be 8, and tables besides


def test_the_manifest_says_what_goes_in_and_out_and_that_there_is_no_state(made):
    artifact, _ = made
    assert (artifact.runtime, artifact.backend, artifact.kernels) == ("executorch", "coreml", None)
    decode, prefill = artifact.methods["decode"], artifact.methods["prefill"]
    assert [one.name for one in decode.inputs] == ["ids", "position", "k_cache", "v_cache"]
    assert [one.name for one in prefill.inputs] == [
        *("ids", "position", "last", "k_cache", "v_cache")
    ]
    assert [one.name for one in decode.outputs] == ["logits", "k_cache_out", "v_cache_out"]
    assert {one.dtype for one in (*decode.inputs[2:], *decode.outputs)} == {"float16"}
    assert decode.outputs[0].shape == prefill.outputs[0].shape == (1, 96)
    for method in (decode, prefill):
        assert method.states == ()
        assert (method.delegates, method.outside) == (1, {})
        assert method.delegated_ops == method.total_ops > 50
    assert artifact.cache.dtype == "float16"
    assert artifact.memory.planned > 4 * artifact.cache.bytes  # in and out, of two methods
    assert any("ETCoreMLModel.mm" in note for note in artifact.notes)
    assert artifact.versions.keys() == {"torch", "executorch", "coremltools"}
    rows = {row.component: row.bytes for row in artifact.bytes_by_component}
    assert sum(rows.values()) == artifact.path.stat().st_size
    assert min(rows.values()) >= 0
    assert rows["rotary tables"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RECIPES if name != QUICK])
def test_every_recipe_that_a_target_takes_is_carried_exactly(name, tmp_path):
    assert refusal("executorch", BUILTIN_RECIPES[name], OPTIONS) is None
    model = compressed(name)
    artifact = export(model, tmp_path / "model.pte", golden=None)
    assert np.abs(score(artifact) - eager(model)).max() < 1e-4
    kinds = {
        one.kind
        for one in open_package(read_delegated(artifact.path, tmp_path / "inner").package)
        .function("decode")
        .operations
    }
    packed = any(kind.startswith("constexpr_") for kind in kinds)
    assert packed == (name not in ("none", "fp16"))


@pytest.mark.slow
def test_prefill_can_give_all_rows(tmp_path):
    model = compressed(QUICK)
    options = OPTIONS.model_copy(update={"logits": "all"})
    artifact = export(model, tmp_path / "model.pte", options)
    assert artifact.methods["prefill"].outputs[0].shape == (8, 96)
    assert np.abs(score(artifact) - eager(model)).max() < 1e-4


def test_the_cache_is_a_multiple_of_32_and_holds_a_chunk():
    assert EXPORTER.capacity(40, OPTIONS) == 64
    assert EXPORTER.capacity(16, ExecutorchOptions(backend="coreml", prefill_chunk=48)) == 64


def test_a_chunk_beyond_the_cache_is_refused(tmp_path):
    options = ExecutorchOptions(backend="coreml", prefill_chunk=64)
    with pytest.raises(ExportError, match="chunk of 64 tokens is longer than the cache of 32"):
        export(compressed("fp16"), tmp_path / "model.pte", options)


@pytest.mark.slow
def test_any_module_has_the_method_forward(tmp_path):
    module = Scores().eval()
    inputs = (torch.randint(0, 50, (2, 12)), torch.rand(2, 12))
    recipe = BUILTIN_RECIPES["w8"].model_copy(update={"floats": "fp16"})
    artifact = EXPORTER.export_module(
        compress_module(module, recipe),
        module,
        inputs,
        OPTIONS,
        tmp_path / "model.pte",
        input_names=("ids", "weights"),
        output_names=("scores",),
        progress=silent,
    )
    engine = DelegateEngine(
        artifact.path, artifact.methods, lambda package: EvaluatorEngine(package, "fp32")
    )
    ids, weights = EXPORTER.module_inputs(inputs, ("ids", "weights"))
    given = engine.call("forward", {"ids": ids.numpy(), "weights": weights.numpy()})["scores"]
    assert np.abs(given - artifact.traced[0]).max() < 1e-4
    assert [one.dtype for one in artifact.methods["forward"].inputs] == ["int32", "float32"]
    assert artifact.cache is None
    assert any("int64 in the model are int32" in note for note in artifact.notes)
