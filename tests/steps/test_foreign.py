"""Families by transformers' own code, from a folder to a measured report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from slmdeploy import pipeline
from slmdeploy.bundle.folder import open_bundle
from slmdeploy.compress.recipe import load_recipe
from slmdeploy.errors import ExportError
from slmdeploy.model.inspect import describe
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.steps.forecast import target_fits
from slmdeploy.steps.foreign import plan_foreign
from slmdeploy.steps.foreign_forecast import foreign_bytes
from slmdeploy.target.load import load_target
from tests.model.families.foreign import random_model


@pytest.fixture
def neox(tmp_path, tiny_kjv, monkeypatch):
    """A random model with a trained tokenizer, whose vocabulary it has."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slmdeploy.toml").touch()
    folder = tmp_path / "neox"
    vocabulary = json.loads((tiny_kjv / "config.json").read_text())["vocab_size"]
    random_model("gpt_neox", vocab_size=vocabulary, max_position_embeddings=256).save_pretrained(
        folder
    )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_kjv / name, folder)
    return read_model(parse_ref(str(folder)))


@pytest.mark.parametrize(
    "target", ["local-litert", "rpi4-tflite-runtime", "iphone15-executorch-coreml"]
)
def test_other_runtimes_refuse_it_and_name_those_that_do_not(neox, target):
    profile = load_target(target, ())
    with pytest.raises(ExportError, match="'gpt_neox', which slmdeploy has not") as caught:
        plan_foreign(neox, profile.recipe, profile, None)
    assert "local-executorch" in caught.value.hint


def test_a_context_beyond_its_own_is_refused(neox):
    profile = load_target("local-executorch", ())
    with pytest.raises(ExportError, match="beyond the model's 256"):
        plan_foreign(neox, profile.recipe, profile, 512)


def test_a_forecast_says_what_cannot_be_known(neox):
    fits = {fit.target: fit for fit in target_fits(neox, ())}
    assert fits["local-executorch"].predicted_bytes == foreign_bytes(
        neox, load_recipe("8da4w-head8")
    )
    assert "cache" in fits["local-executorch"].device_peak_reason
    assert fits["local-litert"].predicted_bytes is None
    assert "ExecuTorch" in fits["local-litert"].device_peak_reason


def test_without_compression_the_forecast_has_each_number_once(neox):
    assert foreign_bytes(neox, load_recipe("none")) == describe(neox).float32_bytes


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["none", "8da4w-head8"])
def test_a_folder_goes_to_a_measured_report(neox, recipe):
    (attempt,) = pipeline.run(str(neox.path), ["local-executorch"], recipe=recipe)
    assert attempt.error is None
    assert attempt.value.status == "valid"
    assert attempt.value.metrics["decode_tokens_per_s"].value > 0
    bundle = open_bundle(Path("bundles/neox--local-executorch"))
    assert bundle.manifest.artifact.source == "transformers"
    rungs = {rung.name: rung for rung in bundle.manifest.verification.rungs}
    assert "transformers' own code" in rungs["decoder"].reason
    assert rungs["decoder"].status == "absent"
    assert rungs["artifact"].status == "pass"
