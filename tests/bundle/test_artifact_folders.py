"""An artifact that is a folder, as a Core ML package is, is kept, checked and packed whole."""

from __future__ import annotations

import shutil

import pytest

from slmdeploy.bundle.archive import pack, unpack
from slmdeploy.bundle.folder import (
    artifact_files,
    finish,
    open_bundle,
    tree_bytes,
    tree_sha256,
)
from slmdeploy.device.push.plan import bundle_folder
from slmdeploy.errors import BundleError
from tests.bundle.bundles import manifest, stage

FILES = {"Manifest.json": b"{}", "Data/model.mlmodel": b"program", "Data/weights/weight.bin": b"w"}
NAMES = tuple(sorted(f"model.mlpackage/{name}" for name in FILES))


@pytest.fixture
def bundle(tmp_path):
    staging = stage(tmp_path / "staging")
    (staging / "model.pte").unlink()
    for name, content in FILES.items():
        path = staging / "model.mlpackage" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    made = manifest()
    artifact = made.artifact.model_copy(update={"file": "model.mlpackage", "runtime": "coreml"})
    return finish(made.model_copy(update={"artifact": artifact}), staging, tmp_path / "bundle")


def test_every_file_in_it_is_in_the_manifest(bundle):
    assert artifact_files(bundle.manifest) == NAMES
    assert open_bundle(bundle.path, verify=True).artifact_path.is_dir()


def test_a_changed_file_in_it_is_found(bundle):
    (bundle.artifact_path / "Data/weights/weight.bin").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"weight\.bin is not the file"):
        open_bundle(bundle.path, verify=True)


def test_a_bundle_without_it_is_none(bundle):
    shutil.rmtree(bundle.artifact_path)
    with pytest.raises(BundleError, match=r"lacks 'model\.mlpackage/"):
        open_bundle(bundle.path)


def test_it_goes_through_an_archive(bundle, tmp_path):
    archive = pack(bundle.path, tmp_path / "one.tar")
    again = open_bundle(unpack(archive, tmp_path / "out"), verify=True)
    assert tree_sha256(again.artifact_path) == tree_sha256(bundle.artifact_path)
    assert again.manifest.files == bundle.manifest.files


def test_a_push_takes_all_of_it(bundle):
    paths = [item.path for item in bundle_folder(bundle.path, bundle.manifest).items]
    assert set(NAMES) < set(paths)


def test_its_hash_depends_on_names_and_content_and_its_size_is_that_of_all_files(bundle):
    package = bundle.artifact_path
    before = tree_sha256(package)
    assert tree_bytes(package) == sum(len(content) for content in FILES.values())
    (package / "Manifest.json").rename(package / "Other.json")
    assert tree_sha256(package) != before
