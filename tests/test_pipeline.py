"""The whole way on a real, trained model: file, artifact, this computer, over SSH, report."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from slmdeploy import pipeline
from slmdeploy.bundle.folder import open_bundle
from slmdeploy.device.lab.devices_toml import to_toml
from slmdeploy.errors import (
    ExportError,
    ModelReadError,
    ParityError,
    RunnerError,
    TokenizerError,
    UnknownNameError,
)
from tests.steps.foretold import foretold

PROMPT = " And the LORD said unto Moses,"


@pytest.fixture(scope="session")
def exported(tiny_kjv, tmp_path_factory):
    """tiny-kjv in float32 and its attempt, made once."""
    output = tmp_path_factory.mktemp("bundles")
    (attempt,) = pipeline.export(
        str(tiny_kjv), ["local-executorch"], recipe="none", context=256, output=output
    )
    assert attempt.error is None
    return attempt.value


@pytest.fixture(scope="session")
def quantized(tiny_kjv, tmp_path_factory):
    """The same model as the target's own recipe makes it."""
    output = tmp_path_factory.mktemp("bundles")
    (attempt,) = pipeline.export(str(tiny_kjv), ["local-executorch"], context=256, output=output)
    assert attempt.error is None
    return attempt.value


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project as the current folder."""
    (tmp_path / "slmdeploy.toml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _rungs(exported):
    return {rung.name: rung for rung in exported.manifest.verification.rungs}


def test_every_rung_of_a_float32_export_is_within_its_limit(exported):
    rungs = _rungs(exported)
    assert list(rungs) == ["source", "decoder", "compressed", "exported", "artifact"]
    assert all(rung.status == "pass" for name, rung in rungs.items() if name != "source")
    assert rungs["artifact"].metrics["max_abs_error"] <= 1e-4


def test_a_quantized_artifact_computes_what_the_compressed_model_does(quantized):
    artifact = _rungs(quantized)["artifact"]
    assert artifact.status == "pass"
    assert artifact.metrics["snr_db"] > 40


def test_its_memory_on_the_device_is_near_what_inspect_forecast(quantized, tiny_kjv):
    said = quantized.manifest.memory.predicted_peak
    forecast = foretold(tiny_kjv, quantized.manifest).device_peak_bytes
    assert forecast <= said < forecast + 2**20  # graphs and memory plans


def test_the_bytes_add_up_to_the_file(exported):
    artifact = exported.manifest.artifact
    rows = {row.component: row.bytes for row in artifact.bytes_by_component}
    assert sum(rows.values()) == artifact.bytes == (exported.bundle / artifact.file).stat().st_size
    assert rows["embedding"] == 2048 * 128 * 4
    assert all(size >= 0 for size in rows.values())


def test_the_licence_travels_with_the_bundle(exported):
    assert "LICENSE.model" in exported.manifest.files


def test_a_second_export_starts_from_the_finished_steps(exported, tiny_kjv, tmp_path):
    (again,) = pipeline.export(
        str(tiny_kjv), ["local-executorch"], recipe="none", context=256, output=tmp_path
    )
    assert again.value.reused == ("references", "artifact")


def test_a_bundle_can_be_verified_again(exported):
    (attempt,) = pipeline.verify(exported.bundle)
    assert attempt.value.broken is None


def test_a_damaged_artifact_breaks_its_rung(quantized, tmp_path):
    bundle = tmp_path / "damaged"
    shutil.copytree(quantized.bundle, bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    golden = dict(open_bundle(bundle).golden())
    golden["logits.compressed"] = golden["logits.compressed"][:, ::-1].copy()
    golden["logits.exported"] = golden["logits.compressed"]
    np.savez(bundle / "golden.npz", allow_pickle=False, **golden)
    file = bundle / "golden.npz"
    manifest["files"]["golden.npz"] = _info(file)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    (attempt,) = pipeline.verify(bundle)
    assert attempt.value.broken == "artifact"


def _info(path):
    import hashlib

    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_the_model_writes_king_james_english_on_this_computer(exported, project):
    events = list(pipeline.generate(exported.bundle, PROMPT, max_new=24))
    text = "".join(event.text for event in events[:-1])
    assert len(text.split()) > 8
    assert events[-1].generated_tokens == 24
    assert any(word in text for word in ("LORD", "shall", "unto", "Israel", "children"))


def test_the_same_bundle_runs_over_ssh(exported, project, sshd_board):
    (project / "devices.toml").write_text(to_toml([sshd_board]))
    (pushed,) = pipeline.push(exported.bundle, devices=[sshd_board.name])
    assert pushed.error is None
    (again,) = pipeline.push(exported.bundle, devices=[sshd_board.name])
    assert again.value.sent_bytes == 0
    here = [e.text for e in list(pipeline.generate(exported.bundle, PROMPT, max_new=12))[:-1]]
    there = pipeline.generate(exported.bundle, PROMPT, device=sshd_board.name, max_new=12)
    assert [event.text for event in list(there)[:-1]] == here


def test_the_device_rung_is_climbed_over_ssh(exported, project, sshd_board):
    (project / "devices.toml").write_text(to_toml([sshd_board]))
    (attempt,) = pipeline.verify(exported.bundle, devices=[sshd_board.name])
    assert attempt.error is None
    last = attempt.value.rungs[-1]
    assert (last.name, last.status) == (f"device {sshd_board.name}", "pass")
    assert last.metrics["max_abs_error"] <= 1e-5


def test_run_goes_from_the_file_to_the_record(tiny_kjv, project):
    (attempt,) = pipeline.run(str(tiny_kjv), ["local-executorch"], recipe="none", context=256)
    record = attempt.value
    assert attempt.subject == "local-executorch on local"
    assert record.status == "valid"
    assert record.metrics["decode_tokens_per_s"].value > 0
    assert record.metrics["decode_tokens_per_s"].n == 5
    assert any(note.startswith("it goes on: In the beginning") for note in record.notes)
    assert record.provenance["weights_sha256"] == record.model.weights_sha256
    assert pipeline.runs()[0].id == record.id
    assert record.id in pipeline.report([record.id], format="md")


def test_an_unknown_device_is_named(exported, project):
    with pytest.raises(UnknownNameError, match="pi5-z"):
        pipeline.push(exported.bundle, devices=["pi5-z"])


def test_a_context_beyond_the_models_is_refused_before_work(tiny_kjv, tmp_path):
    (attempt,) = pipeline.export(
        str(tiny_kjv), ["local-executorch"], context=100_000, output=tmp_path / "out"
    )
    assert isinstance(attempt.error, ExportError)
    assert not (tmp_path / "out").exists()


def test_one_unknown_target_does_not_hide_the_other(tiny_kjv, tmp_path):
    dry = pipeline.export(
        str(tiny_kjv), ["local-executorch", "rpi9"], output=tmp_path, dry_run=True
    )
    assert [attempt.error is None for attempt in dry] == [True, False]
    assert isinstance(dry[1].error, UnknownNameError)


def test_a_folder_without_a_config_is_refused(tmp_path):
    (attempt,) = pipeline.export(str(tmp_path), ["local-executorch"], output=tmp_path / "out")
    assert isinstance(attempt.error, ModelReadError)
    assert "config.json" in attempt.error.message


def test_without_a_tokenizer_text_is_refused_and_the_rest_works(tiny_kjv, project):
    model = project / "bare"
    shutil.copytree(tiny_kjv, model)
    for file in model.glob("tokenizer*"):
        file.unlink()
    (attempt,) = pipeline.export(str(model), ["local-executorch"], recipe="none", context=256)
    assert attempt.error is None
    with pytest.raises(TokenizerError):
        next(iter(pipeline.generate(attempt.value.bundle, PROMPT)))


def test_a_failed_ladder_leaves_no_bundle(tiny_kjv, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise RunnerError("The runner died.", cause="killed")

    monkeypatch.setattr("slmdeploy.steps.exporting.climb_bundle", broken)
    (attempt,) = pipeline.export(
        str(tiny_kjv), ["local-executorch"], recipe="none", context=256, output=tmp_path
    )
    assert isinstance(attempt.error, (RunnerError, ParityError))
    assert list(tmp_path.iterdir()) == []


def test_inspect_says_what_the_model_is_and_whether_it_fits(tiny_kjv, project):
    found = pipeline.inspect(str(tiny_kjv))
    assert found.model.parameters == 1_049_728
    fits = {fit.target: fit for fit in found.fits}
    assert fits["rpi5-executorch"].predicted_bytes < 2**20 * 8
    assert all(finding.status != "fail" for finding in fits["rpi5-executorch"].findings)


def test_a_classifier_goes_the_same_way(tiny_intents, project):
    (attempt,) = pipeline.run(str(tiny_intents), ["local-executorch"], recipe="none")
    assert attempt.error is None
    record = attempt.value
    assert record.status == "valid"
    bundle = open_bundle(project / "bundles" / record.bundle)
    rungs = {rung.name: rung for rung in bundle.manifest.verification.rungs}
    assert rungs["artifact"].status == "pass"
    assert rungs["artifact"].metrics["max_abs_error"] <= 1e-4
    assert bundle.manifest.model.labels is not None
