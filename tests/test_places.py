from __future__ import annotations

import pytest

from slmdeploy.places import cache_dir, find_project, state_dir, user_devices_file


def test_the_project_is_the_nearest_folder_upward_with_its_file(tmp_path):
    (tmp_path / "slmdeploy.toml").touch()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_project(deep).root == tmp_path
    (tmp_path / "a" / "slmdeploy.toml").touch()
    assert find_project(deep).root == tmp_path / "a"


def test_without_its_file_the_project_is_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_project().root == tmp_path
    assert find_project().records_path == tmp_path / ".slmdeploy" / "records.db"


@pytest.mark.parametrize(
    ("variable", "place"),
    [("CACHE", cache_dir), ("STATE", state_dir), ("CONFIG", user_devices_file)],
)
def test_a_place_can_be_moved(tmp_path, monkeypatch, variable, place):
    monkeypatch.setenv(f"SLMDEPLOY_{variable}_DIR", str(tmp_path))
    assert tmp_path in (place(), place().parent)


def test_places_are_the_users_own_unless_moved(monkeypatch):
    for kind in ("CACHE", "STATE", "CONFIG"):
        monkeypatch.delenv(f"SLMDEPLOY_{kind}_DIR", raising=False)
    assert cache_dir().name == state_dir().name == user_devices_file().parent.name == "slmdeploy"
