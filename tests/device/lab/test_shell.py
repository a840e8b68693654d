"""A shell opens in the folder of the current deployment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slmdeploy.device.lab.shell import deployment_folder, open_shell
from slmdeploy.device.types import Device
from slmdeploy.errors import DeviceError, UsageError
from slmdeploy.transport.local import LocalTransport


@pytest.fixture
def board(tmp_path: Path) -> LocalTransport:
    return LocalTransport("pi5-a", tmp_path / "a home" / ".slmdeploy")


def deployed(board: LocalTransport, name: str, digest: str, stamp: int, *, link: bool) -> Path:
    """A bundle's folder whose current deployment is the one of this digest."""
    folder = Path(board.home()) / "bundles" / name
    (folder / digest).mkdir(parents=True)
    current = folder / "current"
    if link:
        current.symlink_to(digest)
    else:
        current.write_text(f"{digest}\nolder00000000\n")
    os.utime(current, (stamp, stamp), follow_symlinks=False)
    return folder / digest


@pytest.mark.parametrize("link", [True, False], ids=["link", "file"])
def test_the_bundle_that_is_named_else_the_last_one(board: LocalTransport, *, link: bool):
    first = deployed(board, "tiny--rpi5", "aaaaaaaaaaaa", 2000, link=link)
    second = deployed(board, "my 'odd' bundle", "bbbbbbbbbbbb", 1000, link=link)
    for bundle, folder in (("my 'odd' bundle", second), ("tiny--rpi5", first), (None, first)):
        assert Path(deployment_folder(board, bundle)).samefile(folder)


def test_without_a_deployment_it_is_our_folder_and_without_that_the_home(board: LocalTransport):
    assert deployment_folder(board) == ""
    Path(board.home()).mkdir(parents=True)
    assert deployment_folder(board) == board.home()


def test_a_bundle_that_is_not_there_is_told(board: LocalTransport):
    with pytest.raises(DeviceError, match="no deployment of 'other'") as caught:
        deployment_folder(board, "other")
    assert "devices deployments pi5-a" in str(caught.value.hint)


def test_a_transport_without_a_shell_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "slmdeploy.device.lab.shell.connect", lambda _: _NoShell("phone", tmp_path / "home")
    )
    with pytest.raises(UsageError, match="reached by 'adb', without a shell"):
        open_shell(Device("phone", transport="adb"), ["true"])


class _NoShell(LocalTransport):
    interactive = None  # type: ignore[assignment]
