"""A board that cannot be had is told, never passed over in silence."""

from __future__ import annotations

from contextlib import closing

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.types import Device
from tests.boards import sshd


def test_without_sshd_the_reason_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sshd, "SSHD", None)
    monkeypatch.delenv(sshd.REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="openssh-server"), sshd.running_board():
        pass


def test_where_boards_are_required_that_is_a_failure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sshd, "SSHD", None)
    monkeypatch.setenv(sshd.REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="openssh-server"), sshd.running_board():
        pass


def test_the_board_is_not_root(sshd_board: Device):
    with closing(connect(sshd_board)) as board:
        assert board.check(["id", "-u"]).stdout.strip() != "0"
