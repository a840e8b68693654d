"""Our terminal and a command on a device, over one channel of an SSH connection."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import sys
from collections.abc import Iterator, Sequence

from paramiko import Channel, SSHException

from slmdeploy.errors import ConnectError
from slmdeploy.transport.shell import exit_code, has_terminal
from slmdeploy.transport.ssh.errors import mapped_errors
from slmdeploy.transport.ssh.session import Session
from slmdeploy.transport.terminal import raw_terminal, window_changes, window_size

__all__ = ["run_interactive"]

STDIN, STDOUT, STDERR = 0, 1, 2
CHANNEL_SECONDS = 15.0
CHUNK_BYTES = 65536
FULL_SECONDS = 0.05
"""Until the next look whether a full window has room; paramiko has no event for that."""
NO_STATUS = -1  # paramiko's word for an exit status that never came


def run_interactive(session: Session, where: str, argv: Sequence[str]) -> int:
    """Run a command in our place; on a terminal of its own (pty) if we have one.

    Args:
        session: The connection.
        where: The device, for messages.
        argv: The command.

    Returns:
        Its exit code; 128 and the number for a signal.

    Raises:
        ConnectError: The connection was lost; the terminal is as it was.
    """
    sys.stdout.flush()
    with mapped_errors(where, "open a shell on"):
        channel = session.open_session(timeout=CHANNEL_SECONDS)
    with contextlib.closing(channel), _terminal(channel, where) as changes:
        with mapped_errors(where, "open a shell on"):
            channel.exec_command(f"exec {shlex.join(argv)}".encode("utf-8", "surrogateescape"))
        _Relay(channel, changes).run()
        channel.status_event.wait(CHANNEL_SECONDS)
        number = session.signals.pop(channel.chanid, None)
    if number is None and channel.exit_status == NO_STATUS:
        raise ConnectError(
            f"The connection to {where} was lost while the shell was open.",
            hint="Is the device still up? What ran in the shell has ended with it.",
        )
    return channel.exit_status if number is None else exit_code(-number)


@contextlib.contextmanager
def _terminal(channel: Channel, where: str) -> Iterator[int | None]:
    """Ask for a terminal there and make ours raw; gives what tells of window changes."""
    if not has_terminal():
        yield None
        return
    columns, rows = window_size(STDOUT)
    with mapped_errors(where, "have a terminal on"):
        channel.get_pty(os.environ.get("TERM", "dumb"), columns, rows)
    with raw_terminal(STDIN), window_changes() as changes:
        yield changes


class _Relay:
    """Bytes to and fro until the command has ended.

    Args:
        channel: The command.
        changes: What can be read when the window has changed its size.
    """

    def __init__(self, channel: Channel, changes: int | None) -> None:
        self._channel = channel
        self._changes = changes
        self._typed = b""
        self._open = True  # our standard input

    def run(self) -> None:
        while True:
            # Asked before reading: what came before the end is then read for certain.
            ended = self._channel.eof_received or self._channel.closed
            self._show()
            if ended:
                return
            self._send()
            self._wait()

    def _show(self) -> None:
        while self._channel.recv_ready():
            _write(STDOUT, self._channel.recv(CHUNK_BYTES))
        while self._channel.recv_stderr_ready():
            _write(STDERR, self._channel.recv_stderr(CHUNK_BYTES))

    def _send(self) -> None:
        while self._typed and self._channel.send_ready():
            try:
                self._typed = self._typed[self._channel.send(self._typed) :]
            except OSError:  # closed meanwhile, which the next look finds
                self._typed = b""

    def _wait(self) -> None:
        sources = [self._channel.fileno()]
        if self._open and not self._typed:
            sources.append(STDIN)
        if self._changes is not None:
            sources.append(self._changes)
        ready, _, _ = select.select(sources, [], [], FULL_SECONDS if self._typed else None)
        if self._changes in ready:
            os.read(self._changes or 0, CHUNK_BYTES)
            with contextlib.suppress(SSHException):  # closed meanwhile
                self._channel.resize_pty(*window_size(STDOUT))
        if STDIN in ready:
            self._typed = os.read(STDIN, CHUNK_BYTES)
            if not self._typed:
                self._open = False
                with contextlib.suppress(OSError, EOFError):
                    self._channel.shutdown_write()


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
