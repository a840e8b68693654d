"""Data that streams into a command on a device, over one channel of an SSH connection.

This is the fast way for large data: SFTP waits for answers, and each of its writes is a
message of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from slmdeploy.errors import ConnectError
from slmdeploy.transport.base import Block
from slmdeploy.transport.ssh.errors import mapped_errors
from slmdeploy.transport.ssh.process import SshProcess

__all__ = ["SILENCE_SECONDS", "PouredProcess"]

SILENCE_SECONDS = 120.0
"""How long a device may take nothing: a slow card that flushes may stand still for a while."""


class PouredProcess(SshProcess):
    """A command whose standard input comes by ``pump``."""

    def pump(self, blocks: Iterable[Block]) -> None:
        """Send all blocks, then end the input; come back early if nobody reads on.

        An error of ``blocks`` itself passes through.

        Raises:
            ConnectError: The device took nothing for a long time.
        """
        self._channel.settimeout(SILENCE_SECONDS)
        for block in blocks:
            view = memoryview(block)
            while view:
                sent = self._send(view)
                if not sent:
                    return
                view = view[sent:]
        with mapped_errors(self._where, "send data to"):
            if not self._channel.closed:
                self._channel.shutdown_write()

    def _feed(self, stdin: bytes | None) -> None:
        """Nothing yet: ``pump`` does it."""

    def _send(self, view: memoryview) -> int:
        """Bytes sent; 0 when the command has ended or the connection is lost."""
        try:
            return self._channel.send(view)  # type: ignore[arg-type]  # bytes-like will do
        except TimeoutError as error:
            raise ConnectError(
                f"{self._where} took no data for {SILENCE_SECONDS:.0f} s.",
                hint="Is its disk busy or broken? The same command goes on where this one stopped.",
            ) from error
        except (OSError, EOFError):
            return 0  # how it ended is told by its exit status, or by the lack of one
