"""Files over SFTP, pipelined. Errors come out as paramiko raises them."""

from __future__ import annotations

import posixpath
from pathlib import Path

from paramiko import SFTPClient, SFTPFile, SSHException

from slmdeploy.errors import TransferError
from slmdeploy.transport.base import Progress
from slmdeploy.transport.ssh.session import Session

__all__ = ["Sftp"]

BLOCK_BYTES = 1 << 18
SILENCE_SECONDS = 120.0


class Sftp:
    """The files of a device.

    Args:
        session: The connection.

    Raises:
        TransferError: The device has no SFTP server.
    """

    def __init__(self, session: Session) -> None:
        try:
            client = SFTPClient.from_transport(session)
        except SSHException as error:
            if not session.is_active():
                raise
            client = None
            cause: Exception | None = error
        else:
            cause = None
        if client is None:
            raise TransferError(
                "The device has no SFTP server.",
                hint="Install one there, as in: apt install openssh-sftp-server",
            ) from cause
        self._client = client
        channel = client.get_channel()
        if channel is not None:
            channel.settimeout(SILENCE_SECONDS)

    @property
    def closed(self) -> bool:
        """Whether the server ended it."""
        channel = self._client.get_channel()
        return channel is None or channel.closed

    def upload(self, source: Path, destination: str, progress: Progress | None) -> None:
        """Write a new file; its size there is compared with ours.

        Raises:
            TransferError: The sizes differ.
        """
        size = source.stat().st_size
        done = 0
        with source.open("rb") as reader, self._create(destination) as writer:
            writer.set_pipelined(True)  # no waiting for the answer to each block
            while block := reader.read(BLOCK_BYTES):
                writer.write(block)
                done += len(block)
                if progress is not None:
                    progress(done, size)
        arrived = self._client.stat(destination).st_size
        if arrived != size:
            raise TransferError(
                f"Of {source} only {arrived} of {size} bytes arrived.",
                hint="Look whether the disk of the device is full.",
            )

    def download(self, source: str, destination: Path) -> None:
        """Read a whole file; paramiko compares the sizes."""
        self._client.get(source, str(destination))

    def chmod(self, path: str, mode: int) -> None:
        """Set permissions."""
        self._client.chmod(path, mode)

    def rename(self, source: str, destination: str) -> None:
        """Rename a file, replacing what was there (OpenSSH's posix-rename)."""
        self._client.posix_rename(source, destination)

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._client.remove(path)

    def _create(self, path: str) -> SFTPFile:
        try:
            return self._client.open(path, "wb")
        except FileNotFoundError:
            self._make_folder(posixpath.dirname(path))
            return self._client.open(path, "wb")

    def _make_folder(self, path: str) -> None:
        if path in {"", "/"}:
            return
        try:
            self._client.mkdir(path)
        except FileNotFoundError:
            self._make_folder(posixpath.dirname(path))
            self._client.mkdir(path)
