"""Passwords and passphrases: typed at a terminal, checked by a real sshd, seen nowhere."""

from __future__ import annotations

import base64
import io
import logging
import traceback
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from slmdeploy.device.types import Device
from slmdeploy.errors import AuthError, SlmdeployError
from slmdeploy.transport.prompt import answered_by
from slmdeploy.transport.ssh import keys as ssh_keys
from slmdeploy.transport.ssh import password as ssh_password
from slmdeploy.transport.ssh.transport import SshTransport
from tests.boards.sshd import SshdBoard, make_key
from tests.transport.answers import Answers
from tests.transport.password_sshd import PASSWORD, PasswordSshd, password_sshd

BY_PASSWORD = "PasswordAuthentication yes\n"  # noqa: S105
BY_ANSWERS = "UsePAM yes\nKbdInteractiveAuthentication yes\n"


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without keys, known hosts or agent, of whom nothing is remembered."""
    (tmp_path / "nobody" / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(ssh_password, "_ACCEPTED", {})
    monkeypatch.setattr(ssh_keys, "_OPENED", {})


@pytest.fixture(scope="module", params=[BY_PASSWORD, BY_ANSWERS], ids=["password", "answers"])
def asking(request: pytest.FixtureRequest) -> Iterator[PasswordSshd]:
    """A server that takes a password, by either of SSH's two methods."""
    with password_sshd(request.param) as board:
        yield board


def without_key(board: SshdBoard) -> SshTransport:
    return SshTransport(replace(board.device().endpoint, identity_file=None))


def test_a_password_lets_us_in(asking: PasswordSshd):
    answers = Answers(PASSWORD)
    with answered_by(answers), closing(without_key(asking)) as ssh:
        assert ssh.check(["id", "-un"]).stdout == "device\n"
    [question] = answers.asked
    assert question.endswith(f"assword for device@127.0.0.1:{asking.port} (board-a): ")


def test_a_wrong_one_may_be_corrected(asking: PasswordSshd):
    answers = Answers("wrong", PASSWORD)
    with answered_by(answers), closing(without_key(asking)) as ssh:
        ssh.check(["true"])
    assert len(answers.asked) == 2


def test_three_wrong_ones_are_enough(asking: PasswordSshd):
    answers = Answers("wrong one", "wrong two", "wrong three")
    with (
        answered_by(answers),
        closing(without_key(asking)) as ssh,
        pytest.raises(AuthError, match="Nor did it accept the password"),
    ):
        ssh.connect()
    assert len(answers.asked) == 3


def test_a_lost_connection_does_not_ask_again(asking: PasswordSshd):
    answers = Answers(PASSWORD)
    with answered_by(answers), closing(without_key(asking)) as ssh:
        ssh.check(["true"])
        ssh.connect().close()
        ssh.check(["true"])
    assert len(answers.asked) == 1


def test_a_key_goes_before_a_password(asking: PasswordSshd):
    answers = Answers()
    with answered_by(answers), closing(SshTransport(asking.device().endpoint)) as ssh:
        ssh.check(["true"])
    assert answers.asked == []


def test_without_a_terminal_the_way_to_a_key_is_named(asking: PasswordSshd):
    with (
        closing(without_key(asking)) as ssh,
        pytest.raises(AuthError, match="no terminal to ask for it") as caught,
    ):
        ssh.connect()
    assert caught.value.hint == f"Run: ssh-copy-id -p {asking.port} device@127.0.0.1"


def test_ctrl_c_at_the_question_ends_it_at_once(asking: PasswordSshd):
    class Interrupted(Answers):
        def secret(self, question: str) -> str:
            raise KeyboardInterrupt

    with (
        answered_by(Interrupted()),
        closing(without_key(asking)) as ssh,
        pytest.raises(KeyboardInterrupt),
    ):
        ssh.connect()


def test_a_password_is_in_no_log_error_or_representation(asking: PasswordSshd):
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    paramiko_log = logging.getLogger("paramiko")
    level = paramiko_log.level
    paramiko_log.addHandler(handler)
    paramiko_log.setLevel(logging.DEBUG)
    said: list[object] = []
    try:
        with answered_by(Answers(PASSWORD)), closing(without_key(asking)) as ssh:
            ssh.check(["true"])
            said += [ssh, vars(ssh), vars(ssh.connect()), ssh_password._ACCEPTED]
        ssh_password._ACCEPTED.clear()
        with answered_by(Answers(*["almost sesame"] * 3)), closing(without_key(asking)) as ssh:
            said.append(error_of(ssh))
    finally:
        paramiko_log.removeHandler(handler)
        paramiko_log.setLevel(level)
    everything = f"{said!r}{written.getvalue()}{asking.log()}"
    assert "userauth" in written.getvalue()
    assert "sesame" not in everything


def error_of(ssh: SshTransport) -> str:
    try:
        ssh.connect()
    except SlmdeployError as error:
        return f"{error!r}{error}" + "".join(traceback.format_exception(error))
    raise AssertionError("it let us in")


def test_a_key_and_a_password_where_both_are_wanted():
    rows = f"{BY_PASSWORD}AuthenticationMethods publickey,password\n"
    with password_sshd(rows) as board:
        answers = Answers(PASSWORD)
        with answered_by(answers), closing(SshTransport(board.device().endpoint)) as ssh:
            ssh.check(["true"])
        assert len(answers.asked) == 1
        with closing(SshTransport(board.device().endpoint)) as ssh:
            ssh_password._ACCEPTED.clear()
            with pytest.raises(AuthError, match="no terminal"):
                ssh.connect()


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A key behind a passphrase."""
    make_key(tmp_path / "locked", "let me in")
    return tmp_path / "locked"


def test_a_passphrase_opens_a_key_and_is_asked_for_once(own_sshd: SshdBoard, locked: Path):
    allow(own_sshd, locked)
    answers = Answers("wrong", "let me in")
    endpoint = replace(own_sshd.device().endpoint, identity_file=locked)
    with answered_by(answers), closing(SshTransport(endpoint)) as ssh:
        ssh.check(["true"])
        ssh.connect().close()
        ssh.check(["true"])
    assert answers.asked == [f"Passphrase of the private key {locked}: "] * 2


def test_a_passphrase_that_stays_wrong_names_the_agent(sshd_board: Device, locked: Path):
    endpoint = replace(sshd_board.endpoint, identity_file=locked)
    with (
        answered_by(Answers("a", "b", "c")),
        closing(SshTransport(endpoint)) as ssh,
        pytest.raises(AuthError, match="wrong 3 times") as caught,
    ):
        ssh.connect()
    assert caught.value.hint == f"Let the agent hold the key. Run: ssh-add {locked}"


def test_the_public_half_of_a_locked_key_needs_no_passphrase(tmp_path: Path, locked: Path):
    public = locked.with_name("locked.pub").read_text().split()
    halves = {ssh_keys.public_half(locked)}
    locked.with_name("locked.pub").unlink()
    halves.add(ssh_keys.public_half(locked))
    [half] = halves
    assert half is not None
    assert half.startswith(b"\0\0\0\x0bssh-ed25519")
    assert base64.b64encode(half).decode() == public[1]
    assert ssh_keys.public_half(tmp_path / "nothing") is None


def allow(board: SshdBoard, key: Path) -> None:
    allowed = board.folder / "authorized_keys"
    allowed.write_text(allowed.read_text() + key.with_name(f"{key.name}.pub").read_text())
