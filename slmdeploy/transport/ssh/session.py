"""An SSH connection: opened, its host key checked, logged in, watched."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import paramiko
from paramiko import SSHException
from paramiko.common import MSG_CHANNEL_REQUEST

from slmdeploy.errors import ConnectError
from slmdeploy.transport.ssh.auth import authenticate
from slmdeploy.transport.ssh.ciphers import fastest_first
from slmdeploy.transport.ssh.config import SshTarget
from slmdeploy.transport.ssh.errors import mapped_errors
from slmdeploy.transport.ssh.hostkeys import algorithms_first, check_host_key, known_keys
from slmdeploy.transport.ssh.link import Link, program_link, tcp_link, through_link

__all__ = ["USUAL_SECONDS", "Session", "greeted_session", "open_session"]

USUAL_SECONDS = 15.0
KEEPALIVE_SECONDS = 10

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

    Args:
        link: What carries it; ended with the session.

    Attributes:
        signals: Signal number by channel id, of commands that a signal ended
            ("exit-signal", RFC 4254 section 6.10, which paramiko passes over).
        farewell: Why the server hung up, in its words; empty for a line that was cut.
    """

    # There is no public way to see the request, so paramiko's table is replaced.
    _channel_handler_table: ClassVar[dict[int, Any]] = {
        **HANDLERS,
        MSG_CHANNEL_REQUEST: _request,
    }

    def __init__(self, link: Link) -> None:
        self.signals: dict[int, int] = {}
        self.farewell = ""
        self._link = link
        super().__init__(link.sock)

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        """SSH_MSG_DISCONNECT, RFC 4253 section 11.1, which paramiko only logs."""
        message.get_int()
        self.farewell = message.get_text() or "without a word"

    def close(self) -> None:
        """Close it and what carries it; may be called twice."""
        super().close()
        self._link.close()


def open_session(target: SshTarget, timeout: float | None = None) -> Session:
    """Connect, check the host key, log in; through jump hosts, each checked as well.

    Args:
        target: Where to.
        timeout: Seconds for each of: the connection, the handshake, the login. By
            default those of the target, else 15.

    Raises:
        ConnectError: Away, refused, or no answer in time.
        HostKeyError: A host key is unknown, or not the one that is known.
        AuthError: The device or a jump host does not let us in.
    """
    known = known_keys(target)
    with greeted_session(target, timeout, lambda offered: algorithms_first(known, offered)) as it:
        check_host_key(target, it.get_remote_server_key(), known)
        it.set_keepalive(KEEPALIVE_SECONDS)
        authenticate(it, target, lambda: it.farewell)
    return it


@contextmanager
def greeted_session(
    target: SshTarget, timeout: float | None, order: Callable[[Sequence[str]], Sequence[str]]
) -> Iterator[Session]:
    """A connection whose host key nobody has looked at yet; closed if the block fails.

    Args:
        target: Where to.
        timeout: As in ``open_session``.
        order: From the host key algorithms that we know to those we ask for.

    Raises:
        ConnectError: Away, refused, or no answer in time.
    """
    seconds = timeout or target.timeout or USUAL_SECONDS
    with mapped_errors(target.where, "connect to"):
        link = _link(target, timeout, seconds)
        session = None
        try:
            session = Session(link)
            session.banner_timeout = session.auth_timeout = session.handshake_timeout = seconds
            options = session.get_security_options()
            options.key_types = order(options.key_types)
            options.ciphers = fastest_first(options.ciphers)
            _greet(session, target, link, seconds)
            yield session
        except BaseException:
            link.close() if session is None else session.close()
            raise


def _link(target: SshTarget, timeout: float | None, seconds: float) -> Link:
    if target.proxy_command:
        return program_link(target)
    if target.via is not None:
        return through_link(open_session(target.via, timeout), target, seconds)
    return tcp_link(target, seconds)


def _greet(session: Session, target: SshTarget, link: Link, seconds: float) -> None:
    """Exchange versions and keys.

    Raises:
        ConnectError: What answers is no SSH server, or it says nothing.
        SSHException: The two do not agree.
        TimeoutError: It stopped in the middle.
    """
    failure: Exception | None = None
    began = time.monotonic()
    try:
        session.start_client(timeout=seconds)
    except (SSHException, EOFError) as error:
        failure = error
    if session.initial_kex_done and failure is None:
        return
    if said := link.complaint():
        raise ConnectError(
            f"Could not connect to {target.where}: its ProxyCommand says: {said}",
            hint="Look at ProxyCommand in ~/.ssh/config.",
        ) from failure
    if not session.remote_version:
        closed = failure is not None and time.monotonic() - began < seconds / 2
        answer = (
            "but it was closed at once"
            if closed
            else (f"but no SSH server answered within {seconds:g} s")
        )
        raise ConnectError(
            f"Could not connect to {target.where}: the port is open, {answer}.",
            hint="Is the port right, and is the device busy or still booting?",
        ) from failure
    raise failure or TimeoutError
