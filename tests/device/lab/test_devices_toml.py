"""devices.toml is read with every fault named, and written so that it reads the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.lab.devices_toml import parse_devices, read_devices, to_toml
from slmdeploy.device.types import Device
from slmdeploy.errors import ProfileError

FILE = Path("/lab/devices.toml")
PRINTABLE = st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" '\"\\#=[]")
LINE = st.text(PRINTABLE, min_size=1, max_size=12)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
DEVICES = st.builds(
    Device,
    name=NAMES.filter("all".__ne__),
    transport=st.sampled_from(["ssh", "local", "adb"]),
    host=LINE.filter(lambda text: not set(text) & {"@", " "}),
    port=st.none() | st.integers(1, 65535),
    user=st.none() | LINE,
    board=st.none() | LINE,
    identity_file=st.none() | st.just(Path("/lab/keys/my key")),
    host_key=st.none() | st.just("ssh-ed25519 AAAA"),
    labels=st.dictionaries(LINE, LINE, max_size=3),
)


@given(devices=st.lists(DEVICES, max_size=3, unique_by=lambda device: device.name))
def test_what_is_written_is_read_back(devices: list[Device]):
    assert list(parse_devices(to_toml(devices), FILE).values()) == devices


def test_all_keys():
    text = """
[devices.pi5-a]
host = "10.0.0.5"
port = 2222
user = "lab"
board = "rpi5"
identity_file = "keys/pi"
host_key = "ssh-ed25519 AAAA comment"
labels = { room = "b12" }
"""
    assert parse_devices(text, FILE)["pi5-a"] == Device(
        name="pi5-a",
        host="10.0.0.5",
        port=2222,
        user="lab",
        board="rpi5",
        identity_file=Path("/lab/keys/pi"),
        host_key="ssh-ed25519 AAAA",
        labels={"room": "b12"},
    )


def test_an_identity_file_may_lie_in_the_home_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/lab")
    text = '[devices.a]\nhost = "h"\nidentity_file = "~/.ssh/pi"'
    assert parse_devices(text, FILE)["a"].identity_file == Path("/home/lab/.ssh/pi")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[devices.a", "not valid TOML"),
        ('[device.a]\nhost = "h"', "Did you mean 'devices'"),
        ("devices = 3", "must be a table"),
        ("devices.a = 3", "must be a table"),
        ('[devices.a]\nhots = "h"', "unknown key 'hots'.*\n.*Did you mean 'host'"),
        ('[devices.a]\nuser = "u"', "no 'host'"),
        ('[devices.a]\nhost = "u@h"', "must be a host name"),
        ("[devices.a]\nhost = 3", "must be a text"),
        ('[devices.a]\nhost = ""', "must be a text"),
        ('[devices.a]\nhost = "h"\nport = "22"', "from 1 to 65535, not '22'"),
        ('[devices.a]\nhost = "h"\nport = true', "from 1 to 65535"),
        ('[devices.a]\nhost = "h"\nport = 70000', "from 1 to 65535"),
        ('[devices.a]\nhost = "h"\nhost_key = "SHA256:abc"', "a key type and a key"),
        ('[devices.a]\nhost = "h"\nlabels = "x"', "must be a table"),
        ('[devices.a]\nhost = "h"\nlabels = { a = 1 }', "labels.a must be a text"),
        ('[devices.all]\nhost = "h"', "cannot be the name"),
        ('[devices."a b"]\nhost = "h"', "cannot be the name"),
    ],
)
def test_every_fault_is_named_with_its_file(text: str, said: str):
    with pytest.raises(ProfileError, match=said) as caught:
        parse_devices(text, FILE)
    assert "/lab/devices.toml" in caught.value.message
    assert caught.value.exit_code == 2


def test_a_file_that_is_no_text(tmp_path: Path):
    (tmp_path / "devices.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProfileError, match="cannot be read"):
        read_devices(tmp_path / "devices.toml")
