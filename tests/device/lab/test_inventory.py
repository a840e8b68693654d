"""Devices are found by name, by label and all together."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.device.lab.inventory import Inventory, load_inventory
from slmdeploy.device.project import Project
from slmdeploy.errors import ProfileError, UnknownNameError

LAB = """
[devices.pi5-a]
host = "10.0.0.5"
board = "rpi5"
labels = { room = "b12" }
[devices.pi5-b]
host = "10.0.0.6"
board = "rpi5"
[devices.orin]
host = "10.0.0.7"
board = "jetson-orin-nano"
labels = { room = "b12" }
"""


@pytest.fixture
def lab(tmp_path: Path) -> Inventory:
    (tmp_path / "devices.toml").write_text(LAB)
    return load_inventory(Project(tmp_path), user_file=tmp_path / "nothing")


def names(inventory: Inventory, *selectors: str) -> list[str]:
    return [device.name for device in inventory.select(selectors)]


def test_local_always_exists(tmp_path: Path):
    empty = load_inventory(Project(tmp_path), user_file=tmp_path / "nothing")
    assert names(empty, "local") == ["local"]
    assert (empty.get("local").transport, empty.get("local").board) == ("local", "local")
    assert empty.files == ()


def test_by_name_label_board_and_all(lab: Inventory):
    assert names(lab, "orin") == ["orin"]
    assert names(lab, "board=rpi5") == ["pi5-a", "pi5-b"]
    assert names(lab, "room=b12") == ["pi5-a", "orin"]
    assert names(lab, "all") == ["pi5-a", "pi5-b", "orin"]
    assert names(lab, "board=local") == ["local"]


def test_each_device_once_in_the_order_named(lab: Inventory):
    assert names(lab, "orin", "board=rpi5", "all", "local") == ["orin", "pi5-a", "pi5-b", "local"]


def test_no_selector_is_no_device(lab: Inventory):
    assert names(lab) == []


def test_an_unknown_name_is_refused_with_the_nearest(lab: Inventory):
    with pytest.raises(UnknownNameError, match="Did you mean 'pi5-") as caught:
        lab.select(["pi5-c"])
    assert caught.value.exit_code == 2
    with pytest.raises(UnknownNameError):
        lab.get("pi5-c")


def test_an_unknown_label_lists_those_that_exist(lab: Inventory):
    with pytest.raises(UnknownNameError, match=r"Known: .*room=b12"):
        lab.select(["room=b13"])


def test_all_of_an_empty_lab_says_how_to_begin(tmp_path: Path):
    empty = load_inventory(Project(tmp_path), user_file=tmp_path / "nothing")
    with pytest.raises(UnknownNameError, match="slmdeploy devices add"):
        empty.select(["all"])


def test_the_project_wins_over_the_user(tmp_path: Path):
    (tmp_path / "devices.toml").write_text('[devices.a]\nhost = "project"')
    user = tmp_path / "user.toml"
    user.write_text('[devices.a]\nhost = "user"\n[devices.b]\nhost = "user"')
    both = load_inventory(Project(tmp_path), user_file=user)
    assert {name: device.host for name, device in both.devices.items()} == {
        "local": None,
        "a": "project",
        "b": "user",
    }
    assert both.files == (user, tmp_path / "devices.toml")


def test_a_fault_names_the_file_it_is_in(tmp_path: Path):
    (tmp_path / "devices.toml").write_text("[devices.a]\nhots = 'x'")
    with pytest.raises(ProfileError, match=str(tmp_path / "devices.toml")):
        load_inventory(Project(tmp_path), user_file=tmp_path / "nothing")
