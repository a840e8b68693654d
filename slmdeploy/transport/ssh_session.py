"""An SSH connection: opened, its host key checked, logged in, watched."""

from __future__ import annotations

import getpass
import logging
import signal
import socket
from pathlib import Path
from typing import Any, ClassVar, cast

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST

from slmdeploy.errors import ConnectError
from slmdeploy.transport.endpoint import Endpoint
from slmdeploy.transport.ssh_auth import authenticate
from slmdeploy.transport.ssh_errors import mapped_errors
from slmdeploy.transport.ssh_hostkeys import (
    SSH_PORT,
    algorithms_first,
    check_host_key,
    known_keys,
)

__all__ = ["Session", "open_session"]

KEEPALIVE_SECONDS = 10
DEAD_LINK_SECONDS = 30

# What goes wrong comes out as our errors; paramiko's own account of it is for those
# who set up logging.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


# Handlers of the messages of a channel, by message number.
HANDLERS: dict[int, Any] = vars(paramiko.Transport)["_channel_handler_table"]


def _request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """Take note of an exit-signal; leave any other request to paramiko."""
    begin = message.packet.tell()
    if message.get_text() == "exit-signal":
        message.get_boolean()
        number = getattr(signal, f"SIG{message.get_text()}", signal.SIGKILL)
        cast("Session", channel.get_transport()).signals[channel.chanid] = int(number)
        return
    message.packet.seek(begin)
    HANDLERS[MSG_CHANNEL_REQUEST](channel, message)


class Session(paramiko.Transport):
    """A connection that also remembers which signal ended a command.

    Attributes:
        signals: Signal number by channel id, of commands that a signal ended
            ("exit-signal", RFC 4254 section 6.10, which paramiko passes over).
    """

    # There is no public way to see the request, so paramiko's table is replaced.
    _channel_handler_table: ClassVar[dict[int, Any]] = {
        **HANDLERS,
        MSG_CHANNEL_REQUEST: _request,
    }

    def __init__(self, sock: socket.socket) -> None:
        self.signals: dict[int, int] = {}
        super().__init__(sock)


def open_session(endpoint: Endpoint, *, timeout: float, known_hosts: Path | None = None) -> Session:
    """Connect, check the host key, log in.

    Args:
        endpoint: Where the device is.
        timeout: Seconds for each of: the connection, the handshake, the login.
        known_hosts: By default ``~/.ssh/known_hosts``.

    Raises:
        ConnectError: Away, refused, or no answer in time.
        HostKeyError: The host key is unknown, or not the one that is known.
        AuthError: The device does not let us in.
    """
    host, port = endpoint.host, endpoint.port or SSH_PORT
    if host is None:
        raise ConnectError(f"{endpoint.name} has no host.", hint="Add it to devices.toml.")
    where = f"{endpoint.name} ({host}:{port})"
    known = known_keys(endpoint, known_hosts or Path.home() / ".ssh" / "known_hosts")
    with mapped_errors(where, "connect to"):
        session = Session(_connected_socket(host, port, timeout))
        try:
            session.banner_timeout = session.auth_timeout = session.handshake_timeout = timeout
            options = session.get_security_options()
            options.key_types = algorithms_first(known, options.key_types)
            session.start_client(timeout=timeout)
            check_host_key(endpoint, session.get_remote_server_key(), known)
            session.set_keepalive(KEEPALIVE_SECONDS)
            authenticate(session, endpoint, endpoint.user or getpass.getuser())
        except BaseException:
            session.close()
            raise
    return session


def _connected_socket(host: str, port: int, timeout: float) -> socket.socket:
    """A TCP connection that notices within half a minute when the cable is pulled."""
    connection = socket.create_connection((host, port), timeout=timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; tcp(7)
        # A keepalive that nobody acknowledges for so long ends the connection.
        milliseconds = DEAD_LINK_SECONDS * 1000
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return connection
