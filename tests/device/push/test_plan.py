"""What a push would send, and what it refuses before it sends anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.device.push.plan import bundle_folder, runner_folder
from slmdeploy.errors import BundleError, HostError
from slmdeploy.runtime.protocol import RunnerFiles
from tests.device.bundles import make_bundle, make_runner


def test_artifact_manifest_and_licence_go_and_nothing_else(tmp_path: Path):
    folder = bundle_folder(*make_bundle(tmp_path))
    assert [item.path for item in folder.items] == ["LICENSE", "manifest.json", "model.pte"]


def test_a_folder_is_named_by_what_is_in_it(tmp_path: Path):
    first = bundle_folder(*make_bundle(tmp_path / "a"))
    same = bundle_folder(*make_bundle(tmp_path / "b"))
    other = bundle_folder(*make_bundle(tmp_path / "c", model=b"changed"))
    assert first.place == same.place == f"bundles/tiny--rpi5/{first.digest[:12]}"
    assert first.place != other.place


@pytest.mark.parametrize(
    ("name", "place"), [("org/model", "org-model"), ("../x y", "x-y"), ("...", "bundle")]
)
def test_a_name_becomes_one_safe_folder(tmp_path: Path, name: str, place: str):
    folder = bundle_folder(*make_bundle(tmp_path, name=name))
    assert folder.place.split("/")[1] == place


def test_a_damaged_bundle_is_refused(tmp_path: Path):
    path, manifest = make_bundle(tmp_path)
    (path / "model.pte").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"model\.pte is not the file that the manifest names"):
        bundle_folder(path, manifest)


def test_a_bundle_with_a_file_missing_is_refused(tmp_path: Path):
    path, manifest = make_bundle(tmp_path)
    (path / "LICENSE").unlink()
    with pytest.raises(BundleError, match="lacks 'LICENSE'"):
        bundle_folder(path, manifest)


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a\tb", "a\nb"])
def test_a_runner_cannot_be_put_elsewhere(tmp_path: Path, path: str):
    (tmp_path / "x").write_text("x")
    with pytest.raises(BundleError, match="cannot be the name"):
        runner_folder(RunnerFiles(files={path: tmp_path / "x"}, executable=path))


def test_a_runner_that_was_removed_from_the_cache(tmp_path: Path):
    files = make_runner(tmp_path)
    (tmp_path / "kernels.so").unlink()
    with pytest.raises(HostError, match="cannot be read"):
        runner_folder(files)
