"""What is particular to SSH: who is let in, who is trusted, and lost connections."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy.device.types import Device
from slmdeploy.errors import AuthError, ConnectError, HostKeyError, TransferError
from slmdeploy.transport.ssh.auth import authenticate
from slmdeploy.transport.ssh.config import resolve
from slmdeploy.transport.ssh.session import greeted_session
from slmdeploy.transport.ssh.transport import SshTransport
from tests.boards.sshd import SshdBoard, _descendants, make_key


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without keys, known hosts or agent."""
    (tmp_path / "nobody" / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def open_ssh(device: Device, **changed: object) -> SshTransport:
    endpoint = dataclasses.replace(device.endpoint, **changed)  # type: ignore[arg-type]
    return SshTransport.from_endpoint(endpoint)


def test_a_refused_port(sshd_board: Device):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        with pytest.raises(ConnectError, match="nothing listens") as caught:
            open_ssh(sshd_board, port=taken.getsockname()[1])
    assert caught.value.exit_code == 4


def test_a_port_that_takes_the_connection_and_says_nothing(sshd_board: Device):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = dataclasses.replace(sshd_board.endpoint, port=silent.getsockname()[1])
        with (
            pytest.raises(ConnectError, match=r"no SSH server answered within 0\.3 s"),
            closing(SshTransport(endpoint, timeout=0.3)) as ssh,
        ):
            ssh.run(["true"])


def test_a_port_that_takes_the_connection_and_closes_it(sshd_board: Device):
    with socket.create_server(("127.0.0.1", 0)) as server:
        closing_one = threading.Thread(target=_close_the_first, args=(server,))
        closing_one.start()
        with pytest.raises(ConnectError, match="the port is open, but it was closed at once"):
            open_ssh(sshd_board, port=server.getsockname()[1]).run(["true"])
        closing_one.join()


def test_something_that_is_no_ssh_server(sshd_board: Device):
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = threading.Thread(target=_answer_http, args=(server,))
        answer.start()
        with pytest.raises(ConnectError):
            open_ssh(sshd_board, port=server.getsockname()[1])
        answer.join()


def test_an_unknown_host_name(sshd_board: Device):
    with pytest.raises(ConnectError, match="host name is unknown"):
        open_ssh(sshd_board, host="no-such-host.invalid")


def test_an_address_that_no_route_leads_to(sshd_board: Device):
    # Everybody at once: the kernel itself refuses to connect there.
    endpoint = dataclasses.replace(sshd_board.endpoint, host="255.255.255.255")
    with (
        pytest.raises(ConnectError, match=r"board-a \(255\.255\.255\.255:\d+\)") as caught,
        closing(SshTransport(endpoint, timeout=1)) as ssh,
    ):
        ssh.connect()
    assert "switched on" in str(caught.value.hint)


def test_a_login_that_is_not_answered(own_sshd: SshdBoard):
    target = resolve(own_sshd.device().endpoint)
    with greeted_session(target, 0.3, lambda ours: ours) as session, closing(session):
        freeze(own_sshd)
        with pytest.raises(ConnectError, match=r"did not answer our login within 0\.3 s"):
            authenticate(session, target)


def test_a_server_that_dies_during_the_login_is_away_and_no_refusal(own_sshd: SshdBoard):
    target = resolve(own_sshd.device().endpoint)
    with greeted_session(target, 5, lambda ours: ours) as session, closing(session):
        own_sshd.kill()
        with pytest.raises(ConnectError, match="closed the connection during our login"):
            authenticate(session, target, lambda: session.farewell)


def test_an_unknown_host_key_is_refused_with_its_fingerprint(sshd_board: Device):
    with pytest.raises(HostKeyError, match="not known: ssh-ed25519 SHA256:") as caught:
        open_ssh(sshd_board, host_key=None)
    assert str(caught.value.hint).endswith("slmdeploy devices trust board-a")


def test_a_changed_host_key_is_refused_and_explained(sshd_board: Device, tmp_path: Path):
    make_key(tmp_path / "other")
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    with pytest.raises(
        HostKeyError, match=r"has changed: it offers .* but the inventory"
    ) as caught:
        open_ssh(sshd_board, host_key=other)
    assert "set up anew" in str(caught.value.hint)
    assert str(caught.value.hint).endswith("slmdeploy devices trust board-a --replace")
    assert caught.value.message.count("SHA256:") == 2


def test_a_pinned_key_that_is_none(sshd_board: Device):
    with pytest.raises(HostKeyError, match="is not a key"):
        open_ssh(sshd_board, host_key="ssh-ed25519 AAAA")


def test_known_hosts_is_enough(sshd_board: Device, tmp_path: Path):
    row = f"[127.0.0.1]:{sshd_board.port} {sshd_board.host_key}\n"
    (tmp_path / "nobody" / ".ssh" / "known_hosts").write_text(row)
    with closing(open_ssh(sshd_board, host_key=None)) as ssh:
        assert ssh.run(["true"]).code == 0


def test_a_key_that_the_device_does_not_know(sshd_board: Device, tmp_path: Path):
    make_key(tmp_path / "other")
    with pytest.raises(AuthError, match="accepted none of our keys") as caught:
        open_ssh(sshd_board, identity_file=tmp_path / "other")
    assert "ssh-copy-id -p" in str(caught.value.hint)


def test_no_key_at_all(sshd_board: Device):
    with pytest.raises(AuthError, match="there is none"):
        open_ssh(sshd_board, identity_file=None)


def test_an_identity_file_that_is_not_there(sshd_board: Device, tmp_path: Path):
    with pytest.raises(AuthError, match="cannot be read: No such file"):
        open_ssh(sshd_board, identity_file=tmp_path / "nothing")


def test_an_identity_file_that_is_no_key(sshd_board: Device, tmp_path: Path):
    (tmp_path / "text").write_text("not a key")
    with pytest.raises(AuthError, match="not a private key"):
        open_ssh(sshd_board, identity_file=tmp_path / "text")


def test_a_key_behind_a_passphrase_points_to_the_agent(sshd_board: Device, tmp_path: Path):
    make_key(tmp_path / "locked", "long enough")
    with pytest.raises(AuthError, match="protected by a passphrase") as caught:
        open_ssh(sshd_board, identity_file=tmp_path / "locked")
    assert f"ssh-add {tmp_path / 'locked'}" in str(caught.value.hint)


def test_the_usual_key_of_the_user_is_found(shared_sshd: SshdBoard, tmp_path: Path):
    usual = tmp_path / "nobody" / ".ssh" / "id_ed25519"
    usual.write_bytes(shared_sshd.client_key.read_bytes())
    with closing(open_ssh(shared_sshd.device(), identity_file=None)) as ssh:
        assert ssh.run(["true"]).code == 0


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent that holds no key yet."""
    socket_path = tmp_path / "agent"
    said = subprocess.run(
        [_tool("ssh-agent"), "-s", "-a", str(socket_path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    pid = re.search(r"SSH_AGENT_PID=(\d+)", said)
    assert pid
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket_path))
    yield
    os.kill(int(pid[1]), signal.SIGTERM)


@pytest.mark.usefixtures("agent")
def test_the_agent_lets_us_in_without_a_file(shared_sshd: SshdBoard):
    add_to_agent(shared_sshd.client_key)
    with closing(open_ssh(shared_sshd.device(), identity_file=None)) as ssh:
        assert ssh.run(["true"]).code == 0


@pytest.mark.usefixtures("agent")
def test_the_agent_is_asked_when_the_file_is_behind_a_passphrase(
    shared_sshd: SshdBoard, tmp_path: Path
):
    make_key(tmp_path / "locked", "long enough")
    add_to_agent(shared_sshd.client_key)
    with closing(open_ssh(shared_sshd.device(), identity_file=tmp_path / "locked")) as ssh:
        assert ssh.run(["true"]).code == 0


@pytest.mark.usefixtures("agent")
def test_with_identities_only_the_agent_shows_no_other_keys(shared_sshd: SshdBoard, tmp_path: Path):
    for number in range(8):  # more than sshd bears (MaxAuthTries)
        make_key(tmp_path / f"key{number}")
        add_to_agent(tmp_path / f"key{number}")
    make_key(tmp_path / "locked", "long enough")
    add_to_agent(shared_sshd.client_key)
    config = tmp_path / "config"
    config.write_text("Host *\n IdentitiesOnly yes\n")
    endpoint = dataclasses.replace(shared_sshd.device().endpoint, identity_file=tmp_path / "locked")
    with (
        pytest.raises(AuthError, match="protected by a passphrase"),
        closing(SshTransport(endpoint, config=config)) as ssh,
    ):
        ssh.connect()


@pytest.mark.usefixtures("agent")
def test_of_many_keys_in_the_agent_the_one_of_the_locked_file_goes_first(
    own_sshd: SshdBoard, tmp_path: Path
):
    for number in range(8):
        make_key(tmp_path / f"key{number}")
        add_to_agent(tmp_path / f"key{number}")
    add_to_agent(own_sshd.client_key)
    lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "long enough", "-f"]
    own = tmp_path / "locked"
    own.write_bytes(own_sshd.client_key.read_bytes())
    own.chmod(0o600)
    subprocess.run([*lock, str(own)], check=True)
    with closing(open_ssh(own_sshd.device(), identity_file=own)) as ssh:
        ssh.check(["true"])


@pytest.mark.usefixtures("agent")
def test_too_many_keys_in_the_agent_point_to_the_identity_file(sshd_board: Device, tmp_path: Path):
    for number in range(8):  # sshd hangs up after six (MaxAuthTries)
        make_key(tmp_path / f"key{number}")
        add_to_agent(tmp_path / f"key{number}")
    with pytest.raises(
        AuthError, match=r"hung up after \d tries .*Too many authentication"
    ) as caught:
        open_ssh(sshd_board, identity_file=None)
    assert "identity_file" in str(caught.value.hint)


def test_of_several_host_keys_the_pinned_one_is_asked_for(own_sshd: SshdBoard):
    second = own_sshd.folder / "second_host_key"
    make_key(second, kind="ecdsa")
    rows = own_sshd.folder / "sshd_config"
    rows.write_text(rows.read_text() + f"HostKey {second}\n")
    own_sshd.kill()
    own_sshd.start()
    pinned = " ".join(second.with_suffix(".pub").read_text().split()[:2])
    with closing(open_ssh(own_sshd.device(), host_key=pinned)) as ssh:
        assert ssh.run(["true"]).code == 0


def test_what_a_login_script_prints_does_not_get_into_the_output(own_sshd: SshdBoard):
    rows = own_sshd.folder / "sshd_config"
    noisy = 'ForceCommand echo "welcome"; eval "$SSH_ORIGINAL_COMMAND"\n'
    rows.write_text(rows.read_text() + noisy)
    own_sshd.kill()
    own_sshd.start()
    with closing(open_ssh(own_sshd.device())) as ssh:
        assert ssh.run(["echo", "mine"]).stdout == "mine\n"


def test_a_login_without_a_shell_says_so(own_sshd: SshdBoard):
    rows = own_sshd.folder / "sshd_config"
    rows.write_text(rows.read_text() + "ForceCommand echo this account is closed; false\n")
    own_sshd.kill()
    own_sshd.start()
    with (
        closing(open_ssh(own_sshd.device())) as ssh,
        pytest.raises(ConnectError, match="no POSIX shell: this account is closed"),
    ):
        ssh.run(["true"])


def test_a_server_without_sftp_says_so(own_sshd: SshdBoard, tmp_path: Path):
    rows = own_sshd.folder / "sshd_config"
    rows.write_text(rows.read_text().replace("Subsystem sftp internal-sftp\n", ""))
    own_sshd.kill()
    own_sshd.start()
    (tmp_path / "file").write_text("x")
    with (
        closing(open_ssh(own_sshd.device())) as ssh,
        pytest.raises(TransferError, match="no SFTP server"),
    ):
        ssh.put(tmp_path / "file", f"{ssh.home()}/file")


def test_a_server_killed_in_the_middle_of_a_stream(own_sshd: SshdBoard):
    with closing(open_ssh(own_sshd.device())) as ssh:
        lines = ssh.stream(["sh", "-c", "echo one; sleep 300"])
        assert next(lines) == "one"
        own_sshd.kill()
        with pytest.raises(ConnectError, match="lost while 'sh' ran"):
            next(lines)


def test_a_server_killed_in_the_middle_of_a_put_leaves_the_old_file(
    own_sshd: SshdBoard, tmp_path: Path
):
    (tmp_path / "old").write_text("old")
    (tmp_path / "new").write_bytes(b"new" * 10_000_000)

    def kill_halfway(done: int, total: int) -> None:
        if done > total // 2:
            own_sshd.kill()

    with closing(open_ssh(own_sshd.device())) as ssh:
        place = f"{ssh.home()}/file"
        ssh.put(tmp_path / "old", place)
        with pytest.raises(ConnectError, match="connection was lost"):
            ssh.put(tmp_path / "new", place, progress=kill_halfway)
        assert Path(place).read_text() == "old"
        assert not list(Path(place).parent.glob("file.part-*.part-*"))


def test_a_device_that_comes_back_is_used_again(own_sshd: SshdBoard):
    with closing(open_ssh(own_sshd.device())) as ssh:
        lost = ssh.connect()
        own_sshd.kill()
        lost.join(60)
        assert not lost.is_alive()
        own_sshd.start()
        assert ssh.run(["echo", "back"]).stdout == "back\n"


def test_a_killed_server_says_where_it_happened(own_sshd: SshdBoard):
    ssh = open_ssh(own_sshd.device("pi5-a"))
    own_sshd.kill()
    with closing(ssh), pytest.raises(ConnectError, match=r"pi5-a \(127\.0\.0\.1:\d+\)"):
        ssh.run(["true"])


def freeze(board: SshdBoard) -> None:
    """Let the server and what it has started answer nothing more; kill() still ends it."""
    server = board._server
    assert server is not None
    for pid in [server.pid, *_descendants(server.pid)]:
        os.kill(pid, signal.SIGSTOP)


def add_to_agent(key: Path) -> None:
    # The agent's tool refuses a key that others may read.
    own = Path(os.environ["HOME"]) / key.name
    own.write_bytes(key.read_bytes())
    own.chmod(0o600)
    subprocess.run([_tool("ssh-add"), "-q", str(own)], check=True)
    own.unlink()


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} is installed (apt-get install openssh-client)")
    return found


def _close_the_first(server: socket.socket) -> None:
    server.accept()[0].close()


def _answer_http(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
