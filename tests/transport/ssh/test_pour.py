"""Data that streams into a command over a real connection."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.errors import ConnectError
from slmdeploy.transport.base import Pours
from slmdeploy.transport.fake import FakeTransport
from slmdeploy.transport.local import LocalTransport
from slmdeploy.transport.ssh import pour as ssh_pour
from slmdeploy.transport.ssh.ciphers import fastest_first
from tests.boards.sshd import SshdBoard

MIB = 1 << 20


@pytest.fixture
def ssh(own_sshd: SshdBoard) -> Iterator[Pours]:
    with closing(connect(own_sshd.device())) as transport:
        assert isinstance(transport, Pours)
        yield transport


def test_all_blocks_arrive_in_order(ssh: Pours):
    blocks = [os.urandom(MIB) for _ in range(9)]
    digest = hashlib.sha256(b"".join(blocks)).hexdigest()
    assert ssh.pour(["sha256sum"], (memoryview(b) for b in blocks)).stdout.split()[0] == digest


def test_what_it_said_and_its_code_come_back(ssh: Pours):
    result = ssh.pour(["sh", "-c", "wc -c; echo odd >&2; exit 3"], [b"12345"])
    assert (result.code, result.stdout.strip(), result.stderr) == (3, "5", "odd\n")


def test_a_command_that_ends_early_ends_the_stream(ssh: Pours):
    taken = 0

    def blocks() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield b"x" * MIB

    assert ssh.pour(["sh", "-c", "exit 3"], blocks()).code == 3
    assert taken < 100


def test_an_error_of_the_blocks_passes_through(ssh: Pours):
    def blocks() -> Iterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ssh.pour(["cat"], blocks())
    assert ssh.pour(["wc", "-c"], [b"ab"]).stdout.strip() == "2"


def test_a_lost_connection_is_told_as_such(ssh: Pours, own_sshd: SshdBoard):
    def blocks() -> Iterator[bytes]:
        for number in range(100):
            if number == 5:
                own_sshd.kill()
            yield b"x" * MIB

    with pytest.raises(ConnectError):
        ssh.pour(["sh", "-c", "cat >/dev/null"], blocks())


def test_a_board_that_takes_nothing_is_given_up(ssh: Pours, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ssh_pour, "SILENCE_SECONDS", 0.2)
    with pytest.raises(ConnectError, match="took no data for"):
        ssh.pour(["sleep", "30"], (b"x" * MIB for _ in range(20)))


def test_who_can_pour():
    assert issubclass(FakeTransport, Pours)
    assert not issubclass(LocalTransport, Pours)


def test_the_fastest_cipher_is_asked_for_first_and_none_is_added():
    offered = ("aes128-ctr", "aes256-ctr", "aes128-gcm@openssh.com")
    assert fastest_first(offered) == ("aes128-gcm@openssh.com", "aes128-ctr", "aes256-ctr")
    assert fastest_first(offered[:2]) == offered[:2]


def test_the_connection_uses_it(ssh: Pours):
    assert ssh.connect().remote_cipher == "aes128-gcm@openssh.com"  # type: ignore[attr-defined]
