"""What carries an SSH connection: TCP, a program (ProxyCommand), or a jump host."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

import paramiko

from slmdeploy.errors import ConnectError
from slmdeploy.transport.ssh.config import SshTarget

__all__ = ["Link", "program_link", "tcp_link", "through_link"]

ADMINISTRATIVELY_PROHIBITED = 1
"""RFC 4254 section 5.1."""
DEAD_LINK_SECONDS = 30
END_SECONDS = 2.0


@dataclass(frozen=True)
class Link:
    """A way for the bytes of a connection.

    Attributes:
        sock: What paramiko reads and writes.
        close: Ends what carries it.
        complaint: What that has said of a failure; empty for nothing.
    """

    sock: socket.socket | paramiko.Channel
    close: Callable[[], None]
    complaint: Callable[[], str] = str


def tcp_link(target: SshTarget, timeout: float) -> Link:
    """A TCP connection that notices within half a minute when the cable is pulled."""
    connection = socket.create_connection((target.host, target.port), timeout=timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; tcp(7)
        # A keepalive that nobody acknowledges for so long ends the connection.
        milliseconds = DEAD_LINK_SECONDS * 1000
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return Link(connection, connection.close)


def through_link(hop: paramiko.Transport, target: SshTarget, timeout: float) -> Link:
    """A channel through a jump host; it is closed with the channel.

    Raises:
        ConnectError: The jump host may not or cannot reach the device.
    """
    try:
        channel = hop.open_channel(
            "direct-tcpip", (target.host, target.port), ("127.0.0.1", 0), timeout=timeout
        )
    except paramiko.ChannelException as error:
        hop.close()
        name = target.via.name if target.via is not None else "the jump host"
        forbidden = error.code == ADMINISTRATIVELY_PROHIBITED
        raise ConnectError(
            f"Could not connect to {target.where}: {name} "
            f"{'may not forward to it' if forbidden else 'cannot reach it'} ({error.text}).",
            hint="Look at AllowTcpForwarding and PermitOpen of its sshd_config."
            if forbidden
            else "Is it switched on, and are host and port right, seen from there?",
        ) from error
    except BaseException:
        hop.close()
        raise
    return Link(channel, hop.close)


def program_link(target: SshTarget) -> Link:
    """A program whose standard input and output are the connection.

    It is started without a shell, in a session of its own: Ctrl-C here must not cut the
    line over which the command on the device is ended.

    Raises:
        ConnectError: The program cannot be started.
    """
    ours, theirs = socket.socketpair()
    said = tempfile.TemporaryFile()  # noqa: SIM115  closed with the link
    try:
        program = subprocess.Popen(
            target.proxy_command,
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=said,
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        said.close()
        raise ConnectError(
            f"The ProxyCommand of {target.name} cannot be started: "
            f"{target.proxy_command[0]}: {error.strerror or error}.",
            hint="It is run without a shell. Look at ProxyCommand in ~/.ssh/config.",
        ) from error
    finally:
        theirs.close()
    return Link(ours, lambda: _end(program, ours, said), lambda: _last_line(said))


def _end(program: subprocess.Popen[bytes], ours: socket.socket, said: IO[bytes]) -> None:
    ours.close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(END_SECONDS)
            break
    said.close()


def _last_line(said: IO[bytes]) -> str:
    if said.closed:
        return ""
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""
