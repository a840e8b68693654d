"""A command on a device, over one channel of an SSH connection."""

from __future__ import annotations

import contextlib
import re
import selectors
import shlex
import threading
from collections.abc import Iterator, Mapping, Sequence

from paramiko import Channel, SSHException

from slmdeploy.errors import ConnectError
from slmdeploy.transport.process import STDERR, STDOUT, STOP, Deadline, with_env
from slmdeploy.transport.ssh.errors import mapped_errors
from slmdeploy.transport.ssh.session import Session

__all__ = ["SshProcess"]

CHUNK_BYTES = 65536
CHANNEL_SECONDS = 15.0
STOP_SECONDS = 5.0
NO_STATUS = -1  # paramiko's word for an exit status that never came

# Says its process id, then becomes the command. OpenSSH starts each command in a session
# of its own; where a server does not, setsid does, so that the id names a group as well.
# A leader must not use setsid: that forks, and the server takes the end of the first for
# the command's own. Whether there is a group of that id is asked of the kernel, since
# emulators print nonsense in /proc/PID/stat.
START = r"""
if ! kill -s 0 -- "-$$" 2>/dev/null && command -v setsid >/dev/null 2>&1; then
  set -- setsid "$@"
fi
printf 'slmdeploy-process:%s\n' "$$"
exec "$@"
"""
STARTED = re.compile(rb"slmdeploy-process:(\d+)\n")


class SshProcess:
    """As in ``Process``.

    Args:
        session: The connection.
        where: The device, for messages.
        argv: The command.
        stdin: Its whole standard input; ``None`` for an empty one.
        env: Variables to add.
    """

    def __init__(
        self,
        session: Session,
        where: str,
        argv: Sequence[str],
        stdin: bytes | None,
        env: Mapping[str, str] | None,
    ) -> None:
        self._session = session
        self._where = where
        self._argv = argv
        self._pid: int | None = None
        self._ended = False
        command = _command("sh", "-c", START, "slmdeploy", *with_env(argv, env))
        with mapped_errors(where, "start a command on"):
            self._channel = session.open_session(timeout=CHANNEL_SECONDS)
            self._channel.exec_command(command)
            self._feed(stdin)

    def chunks(self, deadline: Deadline) -> Iterator[tuple[int, bytes]]:
        """As in ``Process``; what a login script prints before the command is dropped."""
        before = b""
        for source, data in self._raw(deadline):
            if source == STDERR or self._pid is not None:
                yield source, data
                continue
            before += data
            if found := STARTED.search(before):
                self._pid = int(found[1])
                if rest := before[found.end() :]:
                    yield STDOUT, rest
        if self._pid is None:
            raise self._no_shell(before)

    def wait(self, deadline: Deadline) -> int:
        """As in ``Process``.

        Raises:
            ConnectError: The connection was lost before the command ended.
        """
        if not self._channel.status_event.wait(deadline.left()):
            raise TimeoutError
        number = self._session.signals.pop(self._channel.chanid, None)
        if number is None and self._channel.exit_status == NO_STATUS:
            raise self._lost()
        self._ended = True
        return self._channel.exit_status if number is None else -number

    def stop(self) -> None:
        """As in ``Process``; nothing is raised if the device is away."""
        if not self._ended and self._pid is not None and self._session.is_active():
            with contextlib.suppress(ConnectError), mapped_errors(self._where, "stop a command on"):
                self._kill(self._pid)
        self._ended = True
        self._channel.close()

    def _raw(self, deadline: Deadline) -> Iterator[tuple[int, bytes]]:
        channel = self._channel
        with selectors.DefaultSelector() as selector:
            selector.register(channel.fileno(), selectors.EVENT_READ)
            while True:
                # Asked before reading: what came before the end is then read for certain.
                ended = channel.eof_received or channel.closed
                while channel.recv_ready():
                    yield STDOUT, channel.recv(CHUNK_BYTES)
                while channel.recv_stderr_ready():
                    yield STDERR, channel.recv_stderr(CHUNK_BYTES)
                if ended:
                    return
                selector.select(deadline.left())

    def _feed(self, stdin: bytes | None) -> None:
        if not stdin:
            self._channel.shutdown_write()
            return
        # A thread, since the command may write more than fits before it has read all.
        threading.Thread(target=_feed, args=(self._channel, stdin), daemon=True).start()

    def _kill(self, pid: int) -> None:
        killer: Channel = self._session.open_session(timeout=STOP_SECONDS)
        try:
            killer.exec_command(_command("sh", "-c", STOP, "slmdeploy", str(pid)))
            killer.status_event.wait(STOP_SECONDS)
        finally:
            killer.close()

    def _lost(self) -> ConnectError:
        return ConnectError(
            f"The connection to {self._where} was lost while {self._argv[0]!r} ran.",
            hint="Is the device still up? The command may still be running there.",
        )

    def _no_shell(self, said: bytes) -> ConnectError:
        if not self._session.is_active():
            return self._lost()
        lines = said.decode("utf-8", "replace").strip().splitlines()
        reason = lines[0] if lines else "it said nothing"
        return ConnectError(
            f"{self._where} let us in but started no POSIX shell: {reason}",
            hint="Give the user a login shell such as /bin/sh.",
        )


def _command(*words: str) -> bytes:
    """One line for the login shell: exec, so that signals reach the command itself."""
    return f"exec {shlex.join(words)}".encode("utf-8", "surrogateescape")


def _feed(channel: Channel, data: bytes) -> None:
    # A command may end without reading all of its input, as with a pipe.
    with contextlib.suppress(OSError, EOFError, SSHException):
        channel.sendall(data)
        channel.shutdown_write()
