"""Tier A: a real sshd of this computer on loopback, logging in an unprivileged user.

Nothing of the machine or of ``~/.ssh`` is touched: keys, home folder and configuration
lie in a temporary folder. As root, sshd runs as an unprivileged user that exists only in
its own mount namespace.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from slmdeploy.device.types import Device
from tests.boards.ports import free_port
from tests.boards.sshd_wait import wait_for_banner

REQUIRED = "SLMDEPLOY_REQUIRE_BOARDS"
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
USER_ID = 61234
START_SECONDS = 20.0


class SshdBoard:
    """A board that is an sshd: a folder with its keys, its home and its log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.port = free_port()
        self.user = "device" if os.geteuid() == 0 else _own_name()
        self.client_key = folder / "client_key"
        self._server: subprocess.Popen[bytes] | None = None
        self.home.mkdir()
        make_key(folder / "host_key")
        make_key(self.client_key)
        shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
        (folder / "sshd_config").write_text(self._config())

    @property
    def host_key(self) -> str:
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def device(self, name: str = "board-a") -> Device:
        """The board as an inventory knows it, its host key pinned."""
        return Device(
            name=name,
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            board="sshd",
            identity_file=self.client_key,
            host_key=self.host_key,
        )

    def start(self) -> None:
        """Start sshd, and come back when it answers."""
        log = (self.folder / "sshd.log").open("ab")
        with log:
            self._server = subprocess.Popen(
                self._argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait_for_banner()

    def kill(self) -> None:
        """End sshd and everything that runs on the board, at once."""
        if self._server is None:
            return
        stopped: set[int] = set()
        # What is stopped starts nothing that would live on, as the session of a login may.
        while more := {self._server.pid, *_descendants(self._server.pid)} - stopped:
            _signal(more, signal.SIGSTOP)
            stopped |= more
        _signal(stopped, signal.SIGKILL)
        self._server.wait()
        self._server = None

    def log(self) -> str:
        return (self.folder / "sshd.log").read_text(errors="replace")

    def _argv(self) -> list[str]:
        sshd = [str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        if os.geteuid() != 0:
            return sshd
        self._make_user()
        ids = f"{USER_ID}"
        drop = ["setpriv", "--reuid", ids, "--regid", ids, "--clear-groups", *sshd]
        script = (
            'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec "$@"'
        )
        passwd, group = str(self.folder / "passwd"), str(self.folder / "group")
        return ["unshare", "--mount", "sh", "-c", script, "sh", passwd, group, *drop]

    def _make_user(self) -> None:
        row = f"device:x:{USER_ID}:{USER_ID}:board:{self.home}:/bin/sh\n"
        (self.folder / "passwd").write_text(Path("/etc/passwd").read_text() + row)
        # Without the group tty sshd leaves a terminal to the user's own, which it may do.
        groups = re.sub(r"^tty:.*\n", "", Path("/etc/group").read_text(), flags=re.MULTILINE)
        (self.folder / "group").write_text(f"{groups}device:x:{USER_ID}:\n")
        for path in [self.folder, *self.folder.iterdir()]:
            shutil.chown(path, USER_ID, USER_ID)

    def _config(self) -> str:
        rows = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": self.folder / "host_key",
            "PidFile": "none",
            "AuthorizedKeysFile": self.folder / "authorized_keys",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "Subsystem": "sftp internal-sftp",
            "MaxStartups": 50,
            "SetEnv": f'HOME="{self.home}"',
        }
        return "".join(f"{key} {value}\n" for key, value in rows.items())

    def _wait_for_banner(self) -> None:
        assert self._server is not None
        ended = os.pidfd_open(self._server.pid)
        try:
            address = ("127.0.0.1", self.port)
            if not wait_for_banner(address, ended=ended, seconds=START_SECONDS):
                raise RuntimeError(f"sshd did not answer:\n{self.log()}")
        finally:
            os.close(ended)


@contextlib.contextmanager
def running_board() -> Iterator[SshdBoard]:
    """A fresh board, or a skipped test (a failed one if boards are required)."""
    reason = _why_not()
    if reason is not None:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED}=1, but {reason}")
        pytest.skip(reason)
    # Not pytest's own folders: the board's user may not enter those of root.
    with tempfile.TemporaryDirectory(prefix="slmdeploy-board-") as folder:
        Path(folder).chmod(0o755)
        board = SshdBoard(Path(folder))
        board.start()
        try:
            yield board
        finally:
            board.kill()


@pytest.fixture(scope="session")
def shared_sshd() -> Iterator[SshdBoard]:
    """One board for all tests that leave it whole."""
    with running_board() as board:
        yield board


@pytest.fixture(scope="session")
def sshd_board(shared_sshd: SshdBoard) -> Device:
    """A device of an inventory, with pinned host key, that a real sshd serves."""
    return shared_sshd.device()


@pytest.fixture
def own_sshd() -> Iterator[SshdBoard]:
    """A board of the test's own, to kill or to change."""
    with running_board() as board:
        yield board


def _why_not() -> str | None:
    if SSHD is None:
        return "no sshd is installed (apt-get install openssh-server)"
    if os.geteuid() == 0:
        argv = ["unshare", "--mount", "true"]
        probe = subprocess.run(argv, capture_output=True, check=False)
        if probe.returncode != 0:
            return "root may not make a mount namespace here"
    return None


def make_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> None:
    argv = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", str(path)]
    subprocess.run(argv, check=True)


def _own_name() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *_descendants(child)]
    return found
