"""A phone by the commands: pushed to, and refused where no runner of ours is."""

from __future__ import annotations

import json

import pytest

from slmdeploy.device.lab.devices_toml import to_toml
from slmdeploy.device.types import Device
from slmdeploy.steps.runnerless import no_runner_reason
from slmdeploy.target.load import load_target
from tests.device.bundles import make_bundle
from tests.transport.adb.phone import Phone


@pytest.fixture
def phone(tmp_path, monkeypatch, project):
    made = Phone(tmp_path / "phone", monkeypatch)
    (project / "devices.toml").write_text(to_toml([made.device("pixel")]))
    return made


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "tiny--android-executorch")[0]


def test_push_sends_artifact_manifest_and_licence_but_no_runner(cli_json, phone, bundle):
    code, document = cli_json("push", bundle, "--device", "pixel")
    assert code == 0, document
    assert document["results"][0]["result"]["bundle_dir"].startswith(f"{phone.home}/bundles/")
    assert not (phone.home / "runtimes").exists()


@pytest.mark.parametrize(
    "words", [("bench",), ("bench", "--dry-run"), ("verify",), ("generate", "hello")], ids=" ".join
)
def test_what_needs_a_runner_ends_with_4_and_names_the_import(cli, phone, bundle, words):
    done = cli(words[0], bundle, *words[1:], "--device", "pixel")
    assert done.exit_code == 4
    assert "no runner for Android's C library yet" in done.stderr
    assert f"slmdeploy runs import FILE --bundle {bundle} --device pixel" in done.stderr
    assert not (phone.folder / "calls").exists()


def test_a_whole_run_is_refused_before_anything_is_exported(cli, phone):
    done = cli("run", "no-such-model", "--target", "android-executorch", "--device", "pixel")
    assert done.exit_code == 4
    assert "Nothing can be run on pixel" in done.stderr


def test_the_doctor_says_that_bundles_are_pushed_and_not_run(cli, phone):
    said = cli("doctor", "--device", "pixel").stdout
    assert "none for Android's C library yet" in said
    assert "glibc" not in said


def test_what_was_pushed_is_listed_and_removed(cli, phone, bundle):
    cli("push", bundle, "--device", "pixel")
    assert "tiny--rpi5" in cli("devices", "deployments", "pixel").stdout
    done = cli("devices", "remove-deployment", "pixel", "tiny--rpi5")
    assert done.exit_code == 0, done.stderr
    assert not list((phone.home / "bundles").glob("*/*/model.pte"))


def test_the_android_target_says_that_there_is_no_runner():
    profile = load_target("android-executorch")
    assert (profile.runner, profile.arch, profile.board) == ("none", "aarch64", "android")
    assert any("slmdeploy runs import" in note for note in profile.notes)
    assert load_target("rpi5-executorch").runner == "own"


def test_a_bundle_without_a_runner_is_refused_on_any_board_but_not_here(bundle):
    from slmdeploy.bundle.folder import open_bundle

    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "runner": "none"}))
    opened = open_bundle(bundle)
    board = Device(name="pi5-a", host="10.0.0.5")
    assert "runner = 'none'" in str(no_runner_reason(opened, board))
    assert no_runner_reason(opened, Device(name="local", transport="local")) is None
