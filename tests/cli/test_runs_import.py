"""What other tools measured comes into the store, and is said to be theirs wherever it appears."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.device.bundles import make_bundle

SAMPLES = Path(__file__).resolve().parents[2] / "fixtures" / "imports"
LOG = SAMPLES / "executorch-llm-runner.log"
ANDROID = SAMPLES / "executorch-android-llm.json"
LITERT = SAMPLES / "litert-benchmark-model.txt"
PHONE = ("--device", "pixel", "--target", "android-executorch")


def test_import_keeps_all_and_names_its_source(cli_json):
    code, document = cli_json("runs", "import", LOG, *PHONE)
    assert (code, document["schema"]) == (0, "slmdeploy/runs-import/1")
    (one,) = document["results"]
    record = one["result"]
    assert (record["device"], record["target"]) == ("pixel", "android-executorch")
    assert record["imported"]["sha256"] == hashlib.sha256(LOG.read_bytes()).hexdigest()
    assert record["imported"]["runs"][0]["prompt_eval_end_ms"] == 1764000000820
    assert record["metrics"]["ttft_ms"]["value"] is None
    assert (record["model"], record["recipe"]) == (None, None)


def test_a_bundle_names_model_recipe_and_target(cli_json, tmp_path):
    folder, manifest = make_bundle(tmp_path / "bundle")
    _, document = cli_json("runs", "import", LITERT, "--bundle", folder, "--device", "pixel")
    record = document["results"][0]["result"]
    assert record["model"]["name"] == manifest.model.name
    assert record["target"] == manifest.target
    assert record["metrics"]["artifact_bytes"]["value"] == manifest.artifact.bytes


def test_what_the_file_says_of_the_device_names_it(cli_json):
    _, document = cli_json("runs", "import", ANDROID, "--target", "android-executorch")
    assert document["results"][0]["result"]["device"] == "google, Pixel 8, Android 15"


def test_a_file_that_names_no_device_needs_one(cli):
    done = cli("runs", "import", LOG, "--target", "android-executorch")
    assert done.exit_code == 2
    assert "does not say what the device was" in done.stderr
    assert "--device NAME" in done.stderr


def test_lists_reports_and_csv_say_imported(cli, cli_json):
    cli("runs", "import", LOG, *PHONE)
    assert "valid, imported" in cli("runs", "list").stdout
    _, document = cli_json("runs", "list")
    assert document["runs"][0]["imported"] == "ExecuTorch LLM runner"
    for form in ("table", "md"):
        said = " ".join(cli("report", "--format", form).stdout.split())
        assert "not to be ranked with ours" in said
        assert "imported: measured by ExecuTorch LLM runner, not by slmdeploy" in said
    assert ",ExecuTorch LLM runner," in cli("report", "--format", "csv").stdout


def test_one_bad_file_does_not_hide_the_others(cli_json, tmp_path):
    (tmp_path / "junk").write_bytes(b"\x00junk")
    code, document = cli_json("runs", "import", tmp_path / "junk", LOG, *PHONE)
    assert code == 2
    assert [one["error"] is None for one in document["results"]] == [False, True]
    assert "no format that is known" in document["results"][0]["error"]["message"]


def test_a_dry_run_stores_nothing(cli):
    done = cli("runs", "import", LOG, *PHONE, "--dry-run")
    assert "would be a record of pixel" in done.stdout
    assert "No runs are stored yet" in cli("runs", "list").stdout


@pytest.mark.parametrize("name", ["coreml-xcode", "litert"])
def test_a_format_that_the_file_is_not_in_ends_with_2(cli, name):
    assert cli("runs", "import", LOG, *PHONE, "--format", name).exit_code == 2
