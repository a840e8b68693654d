"""A device over SSH, by paramiko. Host keys are checked; ``~/.ssh/config`` is followed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from slmdeploy.errors import TransferError
from slmdeploy.transport.base import Block, Progress, Result
from slmdeploy.transport.endpoint import Endpoint
from slmdeploy.transport.files import part_name, placed
from slmdeploy.transport.process import CommandTransport, Deadline, collected
from slmdeploy.transport.ssh.config import SshTarget, resolve
from slmdeploy.transport.ssh.errors import mapped_errors
from slmdeploy.transport.ssh.pour import PouredProcess
from slmdeploy.transport.ssh.process import SshProcess
from slmdeploy.transport.ssh.session import USUAL_SECONDS, Session, open_session
from slmdeploy.transport.ssh.sftp import Sftp
from slmdeploy.transport.ssh.shell import run_interactive

__all__ = ["SshTransport"]


class SshTransport(CommandTransport):
    """Runs commands and moves files over one SSH connection.

    It connects when it is first used, and again if the connection was lost in between.

    Args:
        endpoint: Where the device is.
        timeout: Seconds for the connection, the handshake and the login, each. By
            default ``ConnectTimeout`` of the configuration, else 15.
        config: The SSH configuration; by default the user's (``config.config_file``).
    """

    def __init__(
        self, endpoint: Endpoint, *, timeout: float | None = None, config: Path | None = None
    ) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        self._config = config
        self._session: Session | None = None
        self._connecting = threading.Lock()  # a lease is kept alive by a thread of its own
        self._sftp: Sftp | None = None
        self._home: str | None = None

    @classmethod
    def from_endpoint(cls, endpoint: Endpoint) -> SshTransport:
        """Connect to a device of the inventory.

        Raises:
            ConnectError: Away, refused, or no answer in time.
            HostKeyError: The host key is unknown, or not the one that is known.
            AuthError: The device does not let us in.
            ProfileError: The SSH configuration has a fault.
        """
        transport = cls(endpoint)
        transport.connect()
        return transport

    @property
    def name(self) -> str:
        """Name of the device, for messages."""
        return self._endpoint.name

    @cached_property
    def target(self) -> SshTarget:
        """Where the connection goes, the configuration followed.

        Raises:
            ProfileError: The configuration has a fault.
        """
        return resolve(self._endpoint, self._config)

    def connect(self) -> Session:
        """The connection; opened if there is none, or none any more."""
        with self._connecting:
            if self._session is None or not self._session.is_active():
                self.close()
                self._session = open_session(self.target, self._timeout)
            return self._session

    def home(self) -> str:
        """``$HOME/.slmdeploy`` on the device; asked for once.

        Raises:
            TransferError: The device has no ``HOME``.
        """
        if self._home is None:
            said = self.check(
                ["sh", "-c", 'printf %s "$HOME"'], timeout=self._timeout or USUAL_SECONDS
            ).stdout
            if not said.startswith("/"):
                raise TransferError(
                    f"{self.name} names no home folder: HOME is {said!r}.",
                    hint="Give the user a home folder in its /etc/passwd.",
                )
            self._home = f"{said.rstrip('/')}/.slmdeploy"
        return self._home

    def put(
        self,
        source: Path,
        destination: str,
        *,
        mode: int = 0o644,
        progress: Progress | None = None,
    ) -> None:
        """Copy a file to a part file beside its place, then rename it.

        Missing folders are made.

        Raises:
            TransferError: The file cannot be read or written, or did not arrive whole.
            ConnectError: The device went away; what was at the place is still there.
        """
        session = self.connect()
        part = part_name(destination)
        with mapped_errors(self._where, f"put {source} on", alive=session.is_active):
            sftp = self._files(session)
            try:
                sftp.upload(source, part, progress)
                sftp.chmod(part, mode)
                self._rename(sftp, part, destination)
            except BaseException:
                with contextlib.suppress(Exception):  # the first error is the one to tell
                    sftp.remove(part)
                raise

    def pour(self, argv: Sequence[str], blocks: Iterable[Block]) -> Result:
        """Run a command whose standard input is made while it runs.

        An error that ``blocks`` raises ends the command and passes through. If the
        command ends before it has read all, the rest is not sent.

        Raises:
            ConnectError: The device went away, or took nothing for a long time.
        """
        process = PouredProcess(self.connect(), self._where, argv, None, None)
        try:
            process.pump(blocks)
            return collected(process, Deadline(None))
        finally:
            process.stop()

    def get(self, source: str, destination: Path) -> None:
        """Copy a file from the device beside its place, then rename it.

        Raises:
            TransferError: The file cannot be read or written, or did not arrive whole.
            ConnectError: The device went away; what was at the place is still there.
        """
        session = self.connect()
        with (
            mapped_errors(self._where, f"get {source} from", alive=session.is_active),
            placed(destination) as part,
        ):
            self._files(session).download(source, part)

    def interactive(self, argv: Sequence[str]) -> int:
        """As ``Interactive.interactive``.

        Raises:
            ConnectError: The device went away.
        """
        return run_interactive(self.connect(), self._where, argv)

    def close(self) -> None:
        """Close the connection; may be called twice."""
        session, self._session, self._sftp = self._session, None, None
        if session is not None:
            session.close()

    @property
    def _where(self) -> str:
        return self.target.where

    def _start(
        self, argv: Sequence[str], stdin: bytes | None, env: Mapping[str, str] | None
    ) -> SshProcess:
        return SshProcess(self.connect(), self._where, argv, stdin, env)

    def _files(self, session: Session) -> Sftp:
        if self._sftp is None or self._sftp.closed:
            self._sftp = Sftp(session)
        return self._sftp

    def _rename(self, sftp: Sftp, part: str, destination: str) -> None:
        try:
            sftp.rename(part, destination)
        except OSError as error:
            if "unsupported" not in str(error).lower():
                raise
            # A server without OpenSSH's posix-rename cannot replace a file by SFTP.
            self.check(["sh", "-c", '[ ! -d "$2" ] && mv -f "$1" "$2"', "sh", part, destination])
