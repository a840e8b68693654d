"""The transports, each to be held to one contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.transport.base import Transport
from slmdeploy.transport.fake import FakeTransport
from slmdeploy.transport.local import LocalTransport
from tests.transport.adb.phone import Phone


@pytest.fixture(params=["local", "fake", "ssh", "adb", "adb-old"])
def transport(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Transport]:
    if request.param == "local":
        chosen: Transport = LocalTransport(root=tmp_path / "home folder" / ".slmdeploy")
    elif request.param == "fake":
        chosen = FakeTransport(tmp_path / "fake")
    elif request.param.startswith("adb"):
        features = {} if request.param == "adb" else {"features": []}
        chosen = connect(Phone(tmp_path / "phone", monkeypatch, **features).device())
    else:
        chosen = connect(request.getfixturevalue("sshd_board"))
    with closing(chosen):
        yield chosen


@pytest.fixture
def place(transport: Transport, tmp_path: Path) -> str:
    """A folder of the device for one test; not made yet."""
    return f"{transport.home()}/{tmp_path.name}"
