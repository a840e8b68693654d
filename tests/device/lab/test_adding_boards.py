"""Boards are added, lost, set up anew and opened, on emulated ones."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.lab.adding import add_device, trust_device
from slmdeploy.device.lab.devices_toml import to_toml
from slmdeploy.device.lab.fingerprint import fingerprint_of
from slmdeploy.device.lab.inventory import load_inventory
from slmdeploy.device.project import Project
from slmdeploy.device.types import Device
from slmdeploy.errors import ConnectError, HostKeyError
from slmdeploy.transport.ssh.transport import SshTransport
from tests.boards.emulated import OwnBoard
from tests.transport.at_terminal import at_terminal

pytestmark = pytest.mark.board


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without keys, known hosts or agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SLMDEPLOY_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.mark.parametrize("kind", ["rpi5", "rpi4", "orin_nano", "agx_orin"])
def test_the_kind_of_board_is_read_from_it(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
):
    board = request.getfixturevalue(kind)
    known = board.device("a")
    new = replace(known, board=None, host_key=None)
    file = tmp_path / "devices.toml"
    fingerprint = fingerprint_of(known.host_key)
    added = add_device(new, file, load_inventory(Project(tmp_path)), fingerprint=fingerprint)
    assert (added.board_guessed, added.device.board) == (True, board.kind.board)
    assert load_inventory(Project(tmp_path)).select([f"board={board.kind.board}"]) == (
        added.device,
    )


def test_a_board_that_was_set_up_anew(own_board: OwnBoard, tmp_path: Path):
    board = own_board("rpi5")
    before = board.device("a")
    (tmp_path / "devices.toml").write_text(to_toml([before]))
    board.change_host_key()
    with pytest.raises(HostKeyError, match="has changed") as caught:
        connect(before)
    assert str(caught.value.hint).endswith("slmdeploy devices trust a --replace")
    fingerprint = fingerprint_of(board.device().host_key)
    inventory = load_inventory(Project(tmp_path))
    trust_device("a", inventory, fingerprint=fingerprint, replace_old=True)
    with closing(connect(load_inventory(Project(tmp_path)).get("a"))) as transport:
        assert transport.check(["uname", "-m"]).stdout == "aarch64\n"


def failure(device: Device, seconds: float) -> tuple[str, float]:
    """What connecting says, and how many seconds it took."""
    began = time.monotonic()
    with (
        pytest.raises(ConnectError) as caught,
        closing(SshTransport(device.endpoint, timeout=seconds)) as ssh,
    ):
        ssh.connect()
    return caught.value.message, time.monotonic() - began


def test_boards_that_do_not_answer_are_told_apart_and_in_time(own_board: OwnBoard):
    board = own_board("rpi5")
    device = board.device("a")
    where = rf"Could not connect to a ({board.address}:22)"
    board.stop_sshd()
    said, took = failure(device, 3)
    assert (said, took < 3) == (f"{where}: nothing listens at this port.", True)
    board.start_sshd()
    board.hang_sshd()
    said, took = failure(device, 2)
    assert said == f"{where}: the port is open, but no SSH server answered within 2 s."
    assert took < 5
    board.unhang_sshd()
    board.unplug()
    said, took = failure(device, 2)
    assert said.startswith(where)
    assert took < 5
    board.plug()
    with closing(connect(device)) as transport:
        transport.check(["true"])


def test_a_shell_opens_where_the_deployment_is(own_board: OwnBoard, tmp_path: Path):
    board = own_board("orin-nano")
    folder = f"{board.user_home}/.slmdeploy/bundles/tiny kjv"
    with closing(connect(board.device("a"))) as transport:
        transport.check(["mkdir", "-p", f"{folder}/aaaaaaaaaaaa"])
        row = b"aaaaaaaaaaaa 1764000000 executorch/bbbbbbbbbbbb\n"
        transport.check(["tee", f"{folder}/current"], stdin=row)
    (tmp_path / "devices.toml").write_text(to_toml([board.device("a")]))
    with at_terminal(tmp_path, "devices", "shell", "a", "--bundle", "tiny kjv") as it:
        it.expect(r"[$#] ")
        it.type("pwd; uname -m; exit 3\r")
        it.expect(rf"{folder}/aaaaaaaaaaaa\s+aarch64")
        assert it.code() == 3
        assert it.settings() == it.before
