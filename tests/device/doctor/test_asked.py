"""What a board is held against: a target, a bundle, or the usual runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.device.doctor import asked as doctor_asked
from slmdeploy.device.doctor.asked import asked_of, needs_of
from slmdeploy.errors import BundleError, OfflineError, UnknownNameError
from slmdeploy.runtime.requirements import REQUIREMENTS
from tests.device.bundles import make_bundle

GIB = 2**30


def test_a_target_gives_its_board_its_limits_and_its_threads():
    asked = asked_of("rpi5-executorch", None)
    assert (asked.name, asked.runtime) == ("target rpi5-executorch", "executorch")
    assert (asked.board, asked.arch, asked.ram_bytes) == ("rpi5", "aarch64", 8 * GIB)
    assert (asked.threads, asked.peak_bytes, asked.files) == (4, None, {})
    assert asked.schemes is not None
    assert "8da4w" in asked.schemes


def test_a_bundle_gives_its_sizes_and_its_own_target(tmp_path: Path):
    folder, manifest = make_bundle(tmp_path / "b")
    asked = asked_of(None, folder)
    artifact = manifest.artifact
    assert (asked.name, asked.bundle) == ("bundle tiny--rpi5", str(folder))
    assert asked.files == {artifact.sha256: artifact.bytes}
    assert (asked.board, asked.peak_bytes) == ("rpi5", 0)
    assert asked.schemes == {"none"}


def test_a_bundle_can_be_held_against_another_target(tmp_path: Path):
    folder, _ = make_bundle(tmp_path / "b")
    assert asked_of("rpi4-executorch", folder).board == "rpi4"


def test_a_bundle_whose_target_is_gone_counts_alone(tmp_path: Path, monkeypatch):
    folder, _ = make_bundle(tmp_path / "b")

    def gone(*_):
        raise UnknownNameError("target", "rpi5-executorch", [])

    monkeypatch.setattr(doctor_asked, "load_target", gone)
    assert asked_of(None, folder).board is None


def test_without_either_the_usual_runtime_is_meant():
    assert asked_of(None, None).name == "the runtime executorch"


def test_a_target_or_a_bundle_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(UnknownNameError):
        asked_of("no-such-target", None)
    with pytest.raises(BundleError):
        asked_of(None, tmp_path)


def test_files_that_are_not_here_are_known_by_the_table(monkeypatch):
    def offline(*_, **__):
        raise OfflineError("not here")

    monkeypatch.setattr(doctor_asked, "built_files", offline)
    needs = needs_of(asked_of(None, None), "aarch64")
    known = REQUIREMENTS["executorch"]
    assert (needs.symbols, needs.align) == (known.symbols, known.align)
    assert needs.least_glibc == (2, 27)


def test_a_runner_for_an_old_glibc_takes_the_linker_that_can(monkeypatch):
    monkeypatch.setattr(doctor_asked, "find_spec", lambda _: None)
    assert needs_of(asked_of(None, None), "aarch64").old_glibc is None
    monkeypatch.setattr(doctor_asked, "find_spec", lambda _: object())
    assert needs_of(asked_of(None, None), "aarch64").old_glibc == (2, 27)


def test_nothing_is_compiled_or_fetched_for_it(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("SLMDEPLOY_CACHE_DIR", str(tmp_path / "cache"))
    needs_of(asked_of(None, None), "aarch64")
    assert not list(tmp_path.rglob("*.so"))
