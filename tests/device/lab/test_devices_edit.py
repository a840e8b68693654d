"""devices.toml is edited so that everything else in it stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.lab.devices_edit import (
    with_device,
    with_host_key,
    without_device,
    write_devices,
)
from slmdeploy.device.lab.devices_toml import parse_devices, to_toml
from slmdeploy.device.types import Device
from slmdeploy.errors import ProfileError
from tests.device.lab.test_devices_toml import DEVICES

FILE = Path("/lab/devices.toml")
LAB = """\
# The boards of room b12.

[devices.pi5-a]            # the one with the fan
host = "10.0.0.5"          # by the window
host_key = "ssh-ed25519 AAAA"   # read from its screen
labels = { room = "b12" }

# The Jetson; do not switch off.
[devices.orin]
user = "lab"
host = "10.0.0.7"
"""
FLEETS = st.lists(DEVICES, min_size=1, max_size=4, unique_by=lambda device: device.name)


def keyed(device: Device, line: str) -> Device:
    return replace(device, host_key=line)


def edited_or_refused(edit: Callable[[], str]) -> str | None:
    try:
        return edit()
    except ProfileError as refused:
        if "by hand" not in str(refused.hint):
            raise
        return None


def test_a_device_is_added_at_the_end():
    device = Device(name="pi5-b", host="10.0.0.6", labels={"room": "b13"})
    assert with_device(LAB, device, FILE) == LAB + (
        '\n[devices.pi5-b]\nhost = "10.0.0.6"\nlabels = {room = "b13"}\n'
    )


def test_the_first_device_makes_the_file():
    text = with_device("", Device(name="pi5-b", host="h", port=2222), FILE)
    assert text == '[devices.pi5-b]\nhost = "h"\nport = 2222\n'


def test_a_key_is_replaced_where_it_stands_and_its_remark_stays():
    edited = with_host_key(LAB, "pi5-a", "ssh-ed25519 BBBB", FILE)
    assert edited == LAB.replace("AAAA", "BBBB")


def test_a_key_is_added_to_a_device_that_had_none():
    edited = with_host_key(LAB, "orin", "ssh-ed25519 BBBB", FILE)
    assert parse_devices(edited, FILE)["orin"].host_key == "ssh-ed25519 BBBB"
    assert edited.startswith(LAB)


def test_a_device_is_removed_and_the_others_stay_as_written():
    edited = without_device(LAB, "pi5-a", FILE)
    assert list(parse_devices(edited, FILE)) == ["orin"]
    assert edited.startswith("# The boards of room b12.\n")
    assert edited.endswith(LAB[LAB.index("[devices.orin]") :])


@pytest.mark.parametrize(
    "text",
    [
        'devices = { a = { host = "h" } }\n',
        '[devices]\na = { host = "h" }  # short\n',
        'devices.a.host = "h"\n',
        '[devices.a]\nhost = "h"\n[devices.b]\nhost = "i"\n[devices.a.labels]\nroom = "x"\n',
        '[devices."a"]\nhost = "h"',
        '\ufeff[devices.a]\r\nhost = "h"\r\n'.removeprefix("\ufeff"),
    ],
    ids=["inline", "short", "dotted", "scattered", "no-newline", "crlf"],
)
def test_any_form_is_edited_or_refused_but_never_damaged(text: str):
    before = parse_devices(text, FILE)
    new = Device(name="new", host="10.0.0.9", labels={"x": "y"})
    key = "ssh-ed25519 BBBB"
    for edit, after in (
        (lambda: with_device(text, new, FILE), {**before, "new": new}),
        (lambda: with_host_key(text, "a", key, FILE), {**before, "a": keyed(before["a"], key)}),
        (lambda: without_device(text, "a", FILE), {n: d for n, d in before.items() if n != "a"}),
    ):
        edited = edited_or_refused(edit)
        assert edited is None or parse_devices(edited, FILE) == after


@given(fleet=FLEETS, remark=st.text(st.characters(exclude_categories=["C", "Z"]), max_size=12))
def test_adding_one_by_one_gives_them_all_and_keeps_remarks(fleet: list[Device], remark: str):
    text = f"# {remark}\n"
    for device in fleet:
        text = with_device(text, device, FILE)
    assert list(parse_devices(text, FILE).values()) == fleet
    assert text.startswith(f"# {remark}\n")


@given(fleet=FLEETS, which=st.integers(min_value=0))
def test_what_was_added_can_be_taken_out_again(fleet: list[Device], which: int):
    gone = fleet[which % len(fleet)]
    text = without_device(to_toml(fleet), gone.name, FILE)
    assert list(parse_devices(text, FILE).values()) == [d for d in fleet if d != gone]


@given(fleet=FLEETS, which=st.integers(min_value=0))
def test_a_new_key_changes_nothing_else(fleet: list[Device], which: int):
    board = fleet[which % len(fleet)]
    text = with_host_key(to_toml(fleet), board.name, "ssh-ed25519 BBBB", FILE)
    expected = [replace(d, host_key="ssh-ed25519 BBBB") if d == board else d for d in fleet]
    assert list(parse_devices(text, FILE).values()) == expected


def test_a_file_keeps_its_permissions_and_a_link_stays_one(tmp_path: Path):
    real = tmp_path / "dotfiles" / "devices.toml"
    real.parent.mkdir()
    real.write_text("old")
    real.chmod(0o600)
    link = tmp_path / "devices.toml"
    link.symlink_to(real)
    write_devices(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in real.parent.iterdir()] == ["devices.toml"]


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ProfileError, match="cannot be written"):
        write_devices(tmp_path / "file" / "devices.toml", "x")
