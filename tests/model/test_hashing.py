from __future__ import annotations

import hashlib
import os

import pytest

from slmdeploy.errors import ModelReadError
from slmdeploy.model.hashing import file_sha256, files_sha256
from slmdeploy.places import cache_dir


def test_one_file_has_its_own_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"weights")
    assert files_sha256([tmp_path / "a"]) == hashlib.sha256(b"weights").hexdigest()


def test_the_hash_of_several_does_not_depend_on_their_folder_or_order(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            (tmp_path / folder / name).write_text(name)
    x, y = ([tmp_path / folder / name for name in ("a", "b")] for folder in ("x", "y"))
    assert files_sha256(x) == files_sha256(y[::-1])
    (tmp_path / "y" / "b").write_text("c")
    assert files_sha256(x) != files_sha256(y)


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = file_sha256(path)
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", None)
        assert file_sha256(path) == first
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert file_sha256(path) == hashlib.sha256(b"two").hexdigest()


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_cache_is_only_slower(tmp_path, text):
    cache_dir().mkdir(parents=True, exist_ok=True)
    (cache_dir() / "sha256.json").write_text(text)
    (tmp_path / "a").write_bytes(b"x")
    assert file_sha256(tmp_path / "a") == hashlib.sha256(b"x").hexdigest()


def test_a_cache_that_cannot_be_written_is_only_slower(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"x")
    monkeypatch.setenv("SLMDEPLOY_CACHE_DIR", str(tmp_path / "a"))
    assert file_sha256(tmp_path / "a") == hashlib.sha256(b"x").hexdigest()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelReadError, match="cannot be read"):
        file_sha256(tmp_path / "none")
