from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy import pipeline
from slmdeploy.errors import OfflineError, UnknownNameError
from slmdeploy.runtime import wheel_packages
from slmdeploy.runtime.wheel_pins import PinnedWheel
from tests.runtime.pips import give, names, sha256_of, wheel_of

LITERT = wheel_of(
    {
        "ai_edge_litert/interpreter.py": "",
        "ai_edge_litert/libpywrap_litert_common.so": "elf",
    }
)
NUMPY = wheel_of({"numpy/__init__.py": "", "numpy/_core/x.so": "elf"})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and wheels whose hashes are those of the test's own."""
    monkeypatch.setenv("SLMDEPLOY_CACHE_DIR", str(tmp_path))
    data = {"ai-edge-litert": LITERT, "numpy": NUMPY}

    def find(project: str, python: str, arch: str, *, versions: tuple[str, ...]) -> PinnedWheel:
        platform = f"manylinux_2_28_{arch}"
        return PinnedWheel(project, versions[0], python, platform, sha256_of(data[project]))

    monkeypatch.setattr(wheel_packages, "find_pinned", find)
    return tmp_path / "runtimes"


def fetch(*, dry_run: bool = False) -> pipeline.Fetched:
    return pipeline.fetch("runtime", runtime="litert", python="3.11", dry_run=dry_run)


def test_a_runtime_for_python_comes_with_the_numpy_that_goes_with_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = give(monkeypatch, {"ai-edge-litert": LITERT, "numpy": NUMPY})
    got = fetch()
    assert got.name == "ai-edge-litert 2.3.0 for Python 3.11 on aarch64"
    assert "numpy 2.2.6" in str(got.note)
    assert not got.already_there
    assert names(cache) == ["ai-edge-litert-2.3.0-cp311-aarch64", "numpy-2.2.6-cp311-aarch64"]
    assert [argv[-1] for argv in commands] == ["ai-edge-litert==2.3.0", "numpy==2.2.6"]
    assert fetch().already_there


def test_what_is_there_of_it_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, {"ai-edge-litert": LITERT})
    with pytest.raises(OfflineError, match=r"numpy 2\.2\.6"):
        fetch()
    commands = give(monkeypatch, {"numpy": NUMPY})
    assert not fetch().already_there
    assert [argv[-1] for argv in commands] == ["numpy==2.2.6"]


def test_a_dry_run_downloads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = give(monkeypatch, {"ai-edge-litert": LITERT, "numpy": NUMPY})
    with pytest.raises(OfflineError, match="not on this computer yet"):
        fetch(dry_run=True)
    assert commands == []


def test_a_python_without_a_wheel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(UnknownNameError, match=r"3\.7"):
        pipeline.fetch("runtime", runtime="tflite-runtime", python="3.7")
