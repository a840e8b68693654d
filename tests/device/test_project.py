"""Where a project begins and what lies in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.device.project import cache_dir, find_project, user_devices_file


def test_the_nearest_folder_upward_with_the_file(tmp_path: Path):
    (tmp_path / "slmdeploy.toml").touch()
    (tmp_path / "inner" / "deep").mkdir(parents=True)
    assert find_project(tmp_path / "inner" / "deep").root == tmp_path
    (tmp_path / "inner" / "slmdeploy.toml").touch()
    assert find_project(tmp_path / "inner" / "deep").root == tmp_path / "inner"


def test_without_the_file_it_is_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert find_project().root == tmp_path


def test_places_of_a_project(tmp_path: Path):
    project = find_project(tmp_path)
    assert project.records_path == tmp_path / ".slmdeploy" / "records.db"
    assert project.bundles_dir == tmp_path / "bundles"
    assert project.targets_dir == tmp_path / "targets"
    assert project.devices_file == tmp_path / "devices.toml"


def test_places_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert user_devices_file() == tmp_path / "config" / "slmdeploy" / "devices.toml"
    assert cache_dir() == tmp_path / "cache" / "slmdeploy"
