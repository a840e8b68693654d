"""Ways to a board: through other servers, and through programs."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from slmdeploy.device.lab.adding import add_device, trust_device
from slmdeploy.device.lab.fingerprint import fingerprint_of
from slmdeploy.device.lab.inventory import load_inventory
from slmdeploy.device.project import Project
from slmdeploy.device.types import Device
from slmdeploy.errors import AuthError, ConnectError, HostKeyError
from slmdeploy.transport.ssh.config import CONFIG_VARIABLE
from slmdeploy.transport.ssh.transport import SshTransport
from tests.boards.sshd import SshdBoard, make_key, running_board

# Copies bytes between its standard input and output and a port, as nc does.
RELAY = """
import os, socket, sys, threading
open(sys.argv[3], "w").write(str(os.getpid()))
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def back():
    while data := connection.recv(65536):
        os.write(1, data)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    connection.sendall(data)
"""


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without keys, known hosts or agent."""
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture(scope="module")
def gate() -> Iterator[SshdBoard]:
    """A second server, to jump through."""
    with running_board() as board:
        yield board


def block(gate: SshdBoard, known_hosts: Path, **more: object) -> str:
    """The jump host's block in a configuration."""
    rows = {
        "HostName": "127.0.0.1",
        "Port": gate.port,
        "User": gate.user,
        "IdentityFile": gate.client_key,
        "UserKnownHostsFile": known_hosts,
        **more,
    }
    return "Host gate\n" + "".join(f"    {key} {value}\n" for key, value in rows.items())


def known(folder: Path, *boards: SshdBoard) -> Path:
    rows = [f"[127.0.0.1]:{board.port} {board.host_key}\n" for board in boards]
    (folder / "known").write_text("".join(rows))
    return folder / "known"


@contextmanager
def opened(
    device: Device, config: Path, timeout: float = 15.0, **changed: object
) -> Iterator[SshTransport]:
    endpoint = replace(device.endpoint, **changed)  # type: ignore[arg-type]
    with closing(SshTransport(endpoint, timeout=timeout, config=config)) as ssh:
        ssh.connect()
        yield ssh


def test_a_board_is_reached_through_a_jump_host(
    sshd_board: Device, gate: SshdBoard, tmp_path: Path
):
    config = tmp_path / "config"
    config.write_text(
        "Host pi\n HostName 127.0.0.1\n ProxyJump gate\n" + block(gate, known(tmp_path, gate))
    )
    before = gate.log().count("Accepted publickey")
    with opened(sshd_board, config, host="pi") as ssh:
        (tmp_path / "file").write_bytes(os.urandom(300_000))
        ssh.put(tmp_path / "file", f"{ssh.home()}/jumped")
        ssh.get(f"{ssh.home()}/jumped", tmp_path / "back")
        ssh.check(["rm", f"{ssh.home()}/jumped"])
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()
    assert gate.log().count("Accepted publickey") == before + 1


def test_a_chain_of_two_jump_hosts(sshd_board: Device, gate: SshdBoard, tmp_path: Path):
    with running_board() as second:
        config = tmp_path / "config"
        known_hosts = known(tmp_path, gate, second)
        config.write_text(
            f"Host 127.0.0.1\n ProxyJump gate,{second.user}@second:{second.port}\n"
            f"Host second\n HostName 127.0.0.1\n IdentityFile {second.client_key}\n"
            f" UserKnownHostsFile {known_hosts}\n" + block(gate, known_hosts)
        )
        with opened(sshd_board, config) as ssh:
            assert ssh.check(["echo", "there"]).stdout == "there\n"
            # The board sees the last jump host, not us.
            assert second.log().count("Accepted publickey") == 1


def test_the_way_is_closed_with_the_connection(sshd_board: Device, gate: SshdBoard, tmp_path: Path):
    config = tmp_path / "config"
    config.write_text("Host 127.0.0.1\n ProxyJump gate\n" + block(gate, known(tmp_path, gate)))
    before = set(threading.enumerate())
    with opened(sshd_board, config) as ssh:
        assert set(threading.enumerate()) - before
        ssh.check(["true"])
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert set(threading.enumerate()) <= before


def test_a_jump_host_that_dies_in_the_middle(
    sshd_board: Device, own_sshd: SshdBoard, tmp_path: Path
):
    config = tmp_path / "config"
    config.write_text(
        "Host 127.0.0.1\n ProxyJump gate\n" + block(own_sshd, known(tmp_path, own_sshd))
    )
    with opened(sshd_board, config) as ssh:
        lines = ssh.stream(["sh", "-c", "echo one; sleep 300"])
        assert next(lines) == "one"
        own_sshd.kill()
        with pytest.raises(ConnectError, match=r"board-a .* was lost while 'sh' ran"):
            next(lines)
        own_sshd.start()
        assert ssh.check(["echo", "again"]).stdout == "again\n"


def test_a_board_is_added_and_trusted_through_a_jump_host(
    sshd_board: Device, gate: SshdBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = tmp_path / "config"
    config.write_text("Host 127.0.0.1\n ProxyJump gate\n" + block(gate, known(tmp_path, gate)))
    monkeypatch.setenv(CONFIG_VARIABLE, str(config))
    file = tmp_path / "devices.toml"
    new = replace(sshd_board, name="pi5-a", host_key=None)
    fingerprint = fingerprint_of(sshd_board.host_key)
    before = gate.log().count("Accepted publickey")
    added = add_device(new, file, load_inventory(Project(tmp_path)), fingerprint=fingerprint)
    assert (added.logged_in, added.key.line) == (True, sshd_board.host_key)
    assert not trust_device("pi5-a", load_inventory(Project(tmp_path))).changed
    assert gate.log().count("Accepted publickey") > before


def test_the_host_key_of_a_jump_host_is_checked(
    sshd_board: Device, gate: SshdBoard, tmp_path: Path
):
    config = tmp_path / "config"
    config.write_text("Host 127.0.0.1\n ProxyJump gate\n" + block(gate, tmp_path / "nothing"))
    with (
        pytest.raises(
            HostKeyError, match=r"jump host gate \(127\.0\.0\.1:\d+\) is not known"
        ) as it,
        opened(sshd_board, config),
    ):
        pass
    assert f"ssh {gate.user}@127.0.0.1 -p {gate.port}" in str(it.value.hint)


def test_a_changed_host_key_of_a_jump_host_is_refused(
    sshd_board: Device, gate: SshdBoard, tmp_path: Path
):
    make_key(tmp_path / "other")
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    (tmp_path / "known").write_text(f"[127.0.0.1]:{gate.port} {other}\n")
    config = tmp_path / "config"
    config.write_text("Host 127.0.0.1\n ProxyJump gate\n" + block(gate, tmp_path / "known"))
    with (
        pytest.raises(HostKeyError, match=r"host key of jump host gate .* has changed") as caught,
        opened(sshd_board, config),
    ):
        pass
    assert f"ssh-keygen -R '[127.0.0.1]:{gate.port}'" in str(caught.value.hint)


def test_a_jump_host_that_does_not_let_us_in_is_named(
    sshd_board: Device, gate: SshdBoard, tmp_path: Path
):
    make_key(tmp_path / "other")
    more = {"IdentityFile": tmp_path / "other"}
    config = tmp_path / "config"
    config.write_text(
        "Host 127.0.0.1\n ProxyJump gate\n" + block(gate, known(tmp_path, gate), **more)
    )
    with (
        pytest.raises(AuthError, match=r"^jump host gate accepted none"),
        opened(sshd_board, config),
    ):
        pass


def test_a_board_that_the_jump_host_cannot_reach(
    sshd_board: Device, gate: SshdBoard, tmp_path: Path
):
    config = tmp_path / "config"
    config.write_text("Host 127.0.0.1\n ProxyJump gate\n" + block(gate, known(tmp_path, gate)))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = taken.getsockname()[1]
        said = rf"board-a \(127\.0\.0\.1:{port}\): jump host gate cannot reach it"
        with pytest.raises(ConnectError, match=said), opened(sshd_board, config, port=port):
            pass


def test_a_jump_host_that_forbids_it(sshd_board: Device, own_sshd: SshdBoard, tmp_path: Path):
    rows = own_sshd.folder / "sshd_config"
    rows.write_text(rows.read_text() + "AllowTcpForwarding no\n")
    own_sshd.kill()
    own_sshd.start()
    config = tmp_path / "config"
    config.write_text(
        "Host 127.0.0.1\n ProxyJump gate\n" + block(own_sshd, known(tmp_path, own_sshd))
    )
    with (
        pytest.raises(ConnectError, match="jump host gate may not forward") as caught,
        opened(sshd_board, config),
    ):
        pass
    assert "AllowTcpForwarding" in str(caught.value.hint)


def relay(tmp_path: Path) -> str:
    """A ProxyCommand that relays bytes and writes down its process id."""
    (tmp_path / "relay.py").write_text(RELAY)
    words = [sys.executable, tmp_path / "relay.py", "%h", "%p", tmp_path / "its pid"]
    return shlex.join(map(str, words))


def test_a_board_is_reached_through_a_program_which_ends_with_it(
    sshd_board: Device, tmp_path: Path
):
    config = tmp_path / "config"
    config.write_text(f"Host pi\n HostName 127.0.0.1\n ProxyCommand {relay(tmp_path)}\n")
    with opened(sshd_board, config, host="pi") as ssh:
        assert ssh.check(["echo", "there"]).stdout == "there\n"
        pid = int((tmp_path / "its pid").read_text())
        assert Path(f"/proc/{pid}").exists()
        assert os.getsid(pid) == pid  # Ctrl-C here does not reach it
    assert not Path(f"/proc/{pid}").exists()


def test_a_program_that_dies_in_the_middle(sshd_board: Device, tmp_path: Path):
    config = tmp_path / "config"
    config.write_text(f"Host 127.0.0.1\n ProxyCommand {relay(tmp_path)}\n")
    with opened(sshd_board, config) as ssh:
        lines = ssh.stream(["sh", "-c", "echo one; sleep 300"])
        assert next(lines) == "one"
        os.kill(int((tmp_path / "its pid").read_text()), signal.SIGKILL)
        with pytest.raises(ConnectError, match="was lost while 'sh' ran"):
            next(lines)
        assert ssh.check(["echo", "again"]).stdout == "again\n"


def test_a_program_that_is_not_there(sshd_board: Device, tmp_path: Path):
    config = tmp_path / "config"
    config.write_text("Host 127.0.0.1\n ProxyCommand no-such-program %h\n")
    with (
        pytest.raises(ConnectError, match="no-such-program: No such file") as caught,
        opened(sshd_board, config),
    ):
        pass
    assert "without a shell" in str(caught.value.hint)


def test_a_program_that_fails_is_quoted(sshd_board: Device, tmp_path: Path):
    config = tmp_path / "config"
    config.write_text(
        "Host 127.0.0.1\n ProxyCommand sh -c 'echo starting >&2; echo no route >&2; exit 1'\n"
    )
    with (
        pytest.raises(ConnectError, match="its ProxyCommand says: no route"),
        opened(sshd_board, config),
    ):
        pass


def test_a_program_that_says_nothing_is_given_up(sshd_board: Device, tmp_path: Path):
    config = tmp_path / "config"
    config.write_text("Host 127.0.0.1\n ProxyCommand sleep 300\n")
    with (
        pytest.raises(ConnectError, match=r"within 0\.3 s"),
        opened(sshd_board, config, timeout=0.3),
    ):
        pass


def test_the_configuration_may_give_it_less_time(sshd_board: Device, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = tmp_path / "config"
        config.write_text("Host 127.0.0.1\n ConnectTimeout 1\n")
        endpoint = replace(sshd_board.endpoint, port=silent.getsockname()[1])
        with (
            pytest.raises(ConnectError, match="within 1 s"),
            closing(SshTransport(endpoint, config=config)) as ssh,
        ):
            ssh.connect()
