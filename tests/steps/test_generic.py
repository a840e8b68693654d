"""Encoders, modules and adapters from a name to a verified bundle and a measured record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from slmdeploy import pipeline
from slmdeploy.bundle.folder import open_bundle
from slmdeploy.errors import ExportError, RecipeError, UsageError
from slmdeploy.model.request import ModelRequest

ROOT = Path(__file__).resolve().parents[2]
NETS = "tests.model.nets"
BOTH = ("local-executorch", "local-litert")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project as the current folder."""
    (tmp_path / "slmdeploy.toml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def export(model, *targets, recipe="none", **named):
    return pipeline.export(model, targets or BOTH[:1], recipe=recipe, **named)


def opened(attempt):
    assert attempt.error is None, attempt.error
    return open_bundle(attempt.value.bundle)


def rungs(bundle):
    return {rung.name: rung for rung in bundle.manifest.verification.rungs}


@pytest.fixture
def adapter(tmp_path_factory):
    """Writes a LoRA adapter for tiny-intents; each seed gives another."""

    def write(seed):
        folder = tmp_path_factory.mktemp("adapter")
        torch.manual_seed(seed)
        key = "base_model.model.bert.encoder.layer.0.attention.self.value.lora_{}.weight"
        tensors = {key.format("A"): torch.randn(2, 64), key.format("B"): torch.randn(64, 2)}
        save_file(tensors, folder / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        return folder

    return write


@pytest.fixture
def labelled(tmp_path_factory):
    """The first forty of the sentences that tiny-intents was not trained on."""
    corpus = ROOT / "fixtures" / "corpora" / "intents-heldout.jsonl"
    path = tmp_path_factory.mktemp("labelled") / "intents.jsonl"
    path.write_text("".join(corpus.read_text().splitlines(keepends=True)[:40]))
    return path


def test_labelled_texts_of_another_model_are_told_before_the_work(project, tiny_intents, labelled):
    labelled.write_text('{"text": "x", "label": "nothing"}')
    (attempt,) = export(ModelRequest(str(tiny_intents), labelled=labelled))
    assert isinstance(attempt.error, UsageError)
    assert "'nothing' is not a label of the model" in attempt.error.message


def test_only_classifiers_have_labelled_texts(project, labelled):
    (attempt,) = export(ModelRequest(f"{NETS}:plain", labelled=labelled))
    assert isinstance(attempt.error, UsageError)


def test_a_vision_module_goes_to_a_bundle_with_all_its_outputs(project):
    bundle = opened(export(f"{NETS}:images")[0])
    method = bundle.manifest.artifact.methods["forward"]
    assert [one.name for one in method.inputs] == ["image"]
    assert [one.name for one in method.outputs] == ["scores", "features"]
    assert bundle.manifest.model.task == "module"
    names = {f"output.{rung}.{i}" for rung in ("source", "compressed", "exported") for i in (0, 1)}
    assert names < set(bundle.golden())
    assert rungs(bundle)["artifact"].status == "pass"
    assert rungs(bundle)["artifact"].metrics["max_abs_error"] <= 1e-4


@pytest.mark.slow
def test_a_function_is_exported_anew_each_time(project):
    first, second = (export(f"{NETS}:plain", verify=False)[0].value for _ in range(2))
    assert (first.reused, second.reused) == ((), ())


def test_a_recipe_that_would_do_nothing_is_refused(project):
    (attempt,) = export(f"{NETS}:plain", recipe="8da8w")
    assert isinstance(attempt.error, RecipeError)
    assert "no linear layer" in attempt.error.message
    assert attempt.error.hint == "Run again with --recipe none."


def test_what_a_recipe_leaves_alone_is_noted(project):
    bundle = opened(export(f"{NETS}:images", recipe="8da8w")[0])
    assert "2 convolutions stay in float32." in bundle.manifest.artifact.notes


def test_a_module_has_no_context(project):
    (attempt,) = export(f"{NETS}:plain", context=64)
    assert isinstance(attempt.error, ExportError)
    assert "no context" in attempt.error.message


@pytest.mark.slow
def test_each_adapter_has_a_bundle_of_its_own(project, tiny_intents, adapter):
    asked = ModelRequest(str(tiny_intents), adapters={"home": adapter(1), "work": adapter(2)})
    attempts = export(asked, verify=False)
    subjects = [attempt.subject for attempt in attempts]
    assert subjects == ["local-executorch with home", "local-executorch with work"]
    home, work = (opened(attempt) for attempt in attempts)
    assert home.path.name == "tiny-intents-home--local-executorch"
    assert (home.manifest.model.adapter, work.manifest.model.adapter) == ("home", "work")
    assert home.manifest.model.labels == work.manifest.model.labels
    given = [one.golden()["output.source.0"] for one in (home, work)]
    assert np.abs(given[0] - given[1]).max() > 1e-3


def test_a_dry_run_names_the_bundles_of_adapters(project, tiny_intents, adapter):
    asked = ModelRequest(str(tiny_intents), adapters={"home": adapter(1)})
    (attempt,) = export(asked, dry_run=True)
    assert attempt.value.bundle.name == "tiny-intents-home--local-executorch"


@pytest.mark.slow
def test_a_module_goes_to_litert_too(project):
    bundle = opened(export(f"{NETS}:images", "local-litert")[0])
    assert rungs(bundle)["artifact"].metrics["max_abs_error"] <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("target", BOTH)
def test_the_intent_classifier_goes_to_a_measured_report(project, tiny_intents, labelled, target):
    asked = ModelRequest(str(tiny_intents), labelled=labelled)
    (attempt,) = pipeline.run(asked, [target], recipe="none")
    assert attempt.error is None
    record = attempt.value
    assert record.status == "valid"
    assert len(record.model.labels) == 42
    for name in ("latency_p50_ms", "latency_p90_ms", "peak_rss_bytes", "load_ms"):
        assert record.metrics[name].value > 0
    assert record.metrics["accuracy_percent"].value >= 90
    accuracies = [record.metrics[f"{by}accuracy_percent"] for by in ("", "source_")]
    assert accuracies[0].value == accuracies[1].value
    page = pipeline.report([record.id])
    assert "Latency p50" in page
    assert "Accuracy, %" in page


@pytest.mark.slow
def test_a_decoder_with_an_adapter_is_held_against_transformers_with_it(project, tiny_kjv):
    torch.manual_seed(0)
    key = "base_model.model.model.layers.1.self_attn.{}_proj.lora_{}.weight"
    sizes = {"q": 128, "v": 64}
    tensors = {key.format(name, "A"): torch.randn(2, 128) / 8 for name in sizes}
    tensors |= {key.format(name, "B"): torch.randn(size, 2) / 8 for name, size in sizes.items()}
    folder = project / "adapter"
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["q_proj", "v_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    asked = ModelRequest(str(tiny_kjv), adapters={"psalms": folder})
    bundles = [opened(export(one, context=256)[0]) for one in (asked, str(tiny_kjv))]
    results = rungs(bundles[0])
    assert [results[name].status for name in ("decoder", "artifact")] == ["pass", "pass"]
    given = [one.golden()["logits.source"][0] for one in bundles]
    assert np.abs(given[0] - given[1]).max() > 1e-2
