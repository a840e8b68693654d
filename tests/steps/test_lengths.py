"""Encoders with a method for each of several lengths: one artifact, one set of weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from slmdeploy import pipeline
from slmdeploy.bundle.folder import open_bundle
from slmdeploy.bundle.methods import golden_calls, lengths_of
from slmdeploy.errors import ExportError, UsageError
from slmdeploy.model.request import ModelRequest
from slmdeploy.steps.measuring import Bench

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = (8, 16, 32)
TEXTS = (
    ("stop", "HassTurnOff", 8),
    ("turn on the light in the kitchen please", "HassTurnOn", 16),
    (f"please add {'milk and bread and ' * 4}eggs to my list", "HassShoppingListAddItem", 32),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "slmdeploy.toml").touch()
    lines = [json.dumps({"text": text, "label": label}) for text, label, _ in TEXTS]
    (folder / "texts.jsonl").write_text("\n".join(lines))
    return folder


def asked(tiny_intents, project, lengths=LENGTHS):
    return ModelRequest(str(tiny_intents), labelled=project / "texts.jsonl", lengths=lengths)


def export(model, target, project, **named):
    (attempt,) = pipeline.export(model, [target], recipe="none", output=project, **named)
    assert attempt.error is None, attempt.error
    return open_bundle(attempt.value.bundle)


def error_of(model, target="local-executorch", **named):
    (attempt,) = pipeline.export(model, [target], recipe="none", dry_run=True, **named)
    return attempt.error


@pytest.fixture(scope="module")
def bundle(tiny_intents, project):
    return export(asked(tiny_intents, project), "local-executorch", project)


def rungs(bundle):
    return {rung.name: rung for rung in bundle.manifest.verification.rungs}


@pytest.mark.slow
def test_the_manifest_lists_a_method_for_each_length(bundle):
    assert lengths_of(bundle.manifest) == {"forward_8": 8, "forward_16": 16, "forward_32": 32}
    for method in bundle.manifest.artifact.methods.values():
        assert {one.shape for one in method.inputs} == {(1, method.length)}


@pytest.mark.slow
def test_the_weights_are_in_the_file_once(bundle):
    parts = {row.component: row.bytes for row in bundle.manifest.artifact.bytes_by_component}
    parameters = 4 * bundle.manifest.model.parameters
    weights = parts["weights in delegates"] + parts["weights outside of delegates"]
    assert weights <= parameters * 1.05


@pytest.mark.slow
def test_every_length_has_golden_vectors_that_only_it_fits(bundle):
    calls = dict(golden_calls(bundle.manifest, bundle.golden()))
    tokens = [int(mask.sum()) for _, mask in calls.values()]
    assert list(calls) == ["forward_8", "forward_16", "forward_32"]
    assert tokens[0] <= 8 < tokens[1] <= 16 < tokens[2] <= 32


@pytest.mark.slow
def test_the_ladder_holds_every_length_against_the_source(bundle):
    artifact = rungs(bundle)["artifact"]
    assert (artifact.status, artifact.against) == ("pass", "exported")
    assert artifact.metrics["max_abs_error"] <= 1e-4
    (verified,) = pipeline.verify(bundle.path)
    assert verified.value.broken is None


@pytest.mark.slow
def test_a_text_is_kept_with_its_tokens_which_choose_the_method(bundle):
    golden = bundle.golden()
    assert golden["labelled.input.0"].shape == (3, 32)
    fitting = [next(n for n in LENGTHS if count <= n) for count in golden["labelled.tokens"]]
    assert fitting == [length for _, _, length in TEXTS]


@pytest.mark.slow
def test_bench_keeps_a_record_for_each_length(bundle, project):
    store = str(project / "records.db")
    attempts = pipeline.bench(bundle.path, devices=["local"], runs=1, store=store)
    assert [one.subject for one in attempts] == [f"local, {length} tokens" for length in LENGTHS]
    records = [one.value for one in attempts]
    assert [one.workload.method for one in records] == [f"forward_{n}" for n in LENGTHS]
    assert all(one.metrics["latency_p50_ms"].value > 0 for one in records)
    assert ["accuracy_percent" in one.metrics for one in records] == [False, False, True]
    found = records[-1].metrics
    assert found["accuracy_percent"].value == found["source_accuracy_percent"].value


@pytest.mark.slow
@pytest.mark.parametrize(("prompt", "method"), [(1, "forward_8"), (9, "forward_16")])
def test_the_prompts_length_chooses_the_method(bundle, prompt, method):
    (one,) = Bench(bundle, prompt, None, None, None).each()
    assert (one.method, one.quality) == (method, True)


@pytest.mark.slow
def test_a_text_that_no_method_fits_is_refused(bundle):
    with pytest.raises(UsageError, match=r"33 tokens does not fit: the longest .* takes 32"):
        Bench(bundle, 33, None, None, None).check()


@pytest.mark.slow
def test_one_length_stays_the_method_forward(tiny_intents, project, tmp_path):
    one = export(asked(tiny_intents, project, (16,)), "local-executorch", tmp_path, verify=False)
    assert list(one.manifest.artifact.methods) == ["forward"]
    assert lengths_of(one.manifest) == {}
    assert "labelled.tokens" not in one.golden()
    assert Bench(one, None, None, None, None).each() == (Bench(one, None, None, None, None),)


@pytest.mark.slow
def test_a_profile_may_list_lengths(tiny_intents, project, tmp_path):
    text = 'extends = "local-executorch"\nrecipe = "none"\n[export]\nlengths = [32, 8]\n'
    (tmp_path / "texts.toml").write_text(text)
    model = ModelRequest(str(tiny_intents))
    made = export(model, str(tmp_path / "texts.toml"), tmp_path, verify=False)
    assert list(lengths_of(made.manifest).values()) == [8, 32]


@pytest.mark.parametrize(
    ("lengths", "more", "kind", "said"),
    [
        ((8, 64), {}, ExportError, "64 tokens are beyond the model's 32"),
        ((8, 16), {"context": 32}, UsageError, "--lengths or --context"),
        ((1, 8), {}, UsageError, "2 to 8192 tokens, not 1"),
        (tuple(range(2, 20)), {}, UsageError, "1 to 8 lengths, not 18"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(tiny_intents, lengths, more, kind, said):
    error = error_of(ModelRequest(str(tiny_intents), lengths=lengths), **more)
    assert isinstance(error, kind)
    assert said in error.message


def test_a_decoder_has_no_lengths(tiny_kjv):
    error = error_of(ModelRequest(str(tiny_kjv), lengths=(8, 16)))
    assert isinstance(error, UsageError)
    assert "has a cache, and no lengths" in error.message


def test_a_module_has_no_lengths():
    error = error_of(ModelRequest("tests.model.nets:plain", lengths=(8, 16)))
    assert isinstance(error, ExportError)
    assert "A module has no lengths" in error.message


def test_packages_for_ios_17_have_one_length(tiny_intents, tmp_path):
    profile = tmp_path / "old.toml"
    text = 'extends = "iphone15-coreml"\n[export]\ndeployment_target = "iOS17"\n'
    profile.write_text(text)
    error = error_of(ModelRequest(str(tiny_intents), lengths=(8, 16)), str(profile))
    assert isinstance(error, ExportError)
    assert "which iOS17 does not have" in error.message


@pytest.mark.slow
def test_litert_has_a_signature_for_each_length(tiny_intents, project):
    made = export(asked(tiny_intents, project), "local-litert", project)
    assert list(lengths_of(made.manifest).values()) == list(LENGTHS)
    assert rungs(made)["artifact"].metrics["max_abs_error"] <= 1e-4
    attempts = pipeline.bench(made.path, devices=["local"], runs=1, store=str(project / "l.db"))
    assert [one.error for one in attempts] == [None] * 3


@pytest.mark.slow
def test_core_ml_has_a_function_for_each_length(tiny_intents, project):
    made = export(ModelRequest(str(tiny_intents), lengths=LENGTHS), "iphone15-coreml", project)
    assert list(lengths_of(made.manifest).values()) == list(LENGTHS)
    results = rungs(made)
    assert (results["float32"].status, results["float16"].status) == ("pass", "pass")
    assert np.isfinite(made.golden()["output.exported.2"]).all()
