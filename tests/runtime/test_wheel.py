from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slmdeploy.errors import MissingExtraError, OfflineError, UnknownNameError, UsageError
from slmdeploy.runtime import wheel
from slmdeploy.runtime.wheel import LIBRARIES, fetch_wheel, find_wheel, host_arch
from slmdeploy.runtime.wheel_pins import PinnedWheel
from tests.runtime.pips import give, names, sha256_of, wheel_of

OTHER = "x86_64" if host_arch() == "aarch64" else "aarch64"

Pip = Callable[[dict[str, str]], list[list[str]]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLMDEPLOY_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    """Let pip "download" a wheel with the given members; gives the commands that were run."""

    def install(members: dict[str, str]) -> list[list[str]]:
        data = wheel_of(members)
        pin(monkeypatch, sha256_of(data))
        return give(monkeypatch, {"executorch": data})

    return install


def pin(monkeypatch: pytest.MonkeyPatch, sha256: str | None) -> None:
    found = PinnedWheel("executorch", "1.5.1", "3.11", f"manylinux_2_28_{OTHER}", sha256)
    monkeypatch.setattr(wheel, "find_pinned", lambda *_, **__: found)


WHOLE = {
    **{f"executorch/lib/{name}": name for name in LIBRARIES},
    "executorch/include/executorch/a.h": "// a",
    "executorch/exir/b.py": "not needed",
    "executorch-1.5.1.dist-info/licenses/LICENSE": "BSD",
}


def test_this_computers_libraries_are_those_of_the_installed_package() -> None:
    found = find_wheel("host")
    assert found.arch == host_arch()
    assert all((found.lib / name).is_file() for name in LIBRARIES)
    assert (found.include / "executorch/runtime/executor/program.h").is_file()


def test_another_architecture_must_be_fetched_first_and_the_command_is_named() -> None:
    with pytest.raises(OfflineError) as caught:
        find_wheel(OTHER)
    assert caught.value.hint == f"Run: slmdeploy fetch runtime --arch {OTHER}"


def test_an_unknown_architecture_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="riscv64") as caught:
        find_wheel("riscv64")
    assert caught.value.known == ["aarch64", "x86_64"]


def test_without_executorch_this_computers_runner_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wheel, "_installed", lambda: ("1.5.1", None))
    with pytest.raises(MissingExtraError, match="'executorch'"):
        find_wheel("host")


def test_fetching_unpacks_headers_libraries_and_licences_only(pip: Pip, cache: Path) -> None:
    commands = pip(WHOLE)
    found = fetch_wheel(OTHER)
    assert found == find_wheel(OTHER)
    assert (found.lib / LIBRARIES[0]).read_text() == LIBRARIES[0]
    assert (found.include / "executorch/a.h").is_file()
    assert not (found.root / "exir").exists()
    assert list(cache.rglob("LICENSE"))
    assert names(cache / "runtimes") == [f"executorch-1.5.1-{OTHER}"]
    assert {"--no-deps", "--only-binary=:all:", f"manylinux_2_28_{OTHER}"} <= set(commands[0])


def test_what_is_there_is_not_fetched_again(pip: Pip) -> None:
    pip(WHOLE)
    fetch_wheel(OTHER)
    commands = pip({})
    fetch_wheel(OTHER)
    assert commands == []


def test_a_wheel_with_another_hash_is_not_used(
    pip: Pip, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip(WHOLE)
    pin(monkeypatch, "0" * 64)
    with pytest.raises(OfflineError, match="sha256"):
        fetch_wheel(OTHER)
    assert names(cache / "runtimes") == []


def test_a_wheel_without_the_libraries_is_refused(pip: Pip, cache: Path) -> None:
    pip({"executorch/__init__.py": ""})
    with pytest.raises(OfflineError, match="does not hold"):
        fetch_wheel(OTHER)
    assert names(cache / "runtimes") == []


def test_what_pip_said_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, {})
    with pytest.raises(OfflineError, match="No matching distribution"):
        fetch_wheel(OTHER)


def test_a_version_that_is_not_pinned_is_refused_unless_it_is_asked_for(
    pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = pip(WHOLE)
    monkeypatch.setattr(wheel, "find_pinned", lambda *_, **__: None)
    with pytest.raises(UsageError, match="is not known") as caught:
        fetch_wheel(OTHER)
    assert commands == []
    assert str(caught.value.hint).endswith(f"slmdeploy fetch runtime --arch {OTHER} --unpinned")
    assert fetch_wheel(OTHER, unpinned=True).arch == OTHER
