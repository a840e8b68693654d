"""Who we are to a server: a key, or a password that somebody types at the terminal.

The order is that of ssh(1): keys that can be used at once, keys behind a passphrase, then
what the server asks for. A password is sent only after the host key was checked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
from paramiko.ssh_exception import AuthenticationException, BadAuthenticationType, SSHException

from slmdeploy.errors import AuthError, ConnectError
from slmdeploy.transport.prompt import can_ask
from slmdeploy.transport.ssh.config import SSH_PORT, SshTarget
from slmdeploy.transport.ssh.keys import our_keys, unlocked
from slmdeploy.transport.ssh.password import ASKED, ask_and_send

__all__ = ["authenticate"]


def authenticate(
    transport: paramiko.Transport, target: SshTarget, farewell: Callable[[], str] = str
) -> None:
    """Log in.

    Args:
        transport: A connection whose host key was checked.
        target: Where to.
        farewell: Why the server hung up; empty if it did not say, or did not hang up.

    Raises:
        AuthError: The server takes nothing that we have, or a key cannot be used.
        ConnectError: It did not answer in time, or the connection was lost.
    """
    _Login(transport, target, farewell).run()


class _Login:
    """One login: what was tried, and what the server still takes."""

    def __init__(
        self, transport: paramiko.Transport, target: SshTarget, farewell: Callable[[], str]
    ) -> None:
        self._transport = transport
        self._target = target
        self._farewell = farewell
        self._tried: list[str] = []
        self._locked: list[Path] = []
        self._allowed: list[str] = []
        self._done = False

    def run(self) -> None:
        self._ask_what_is_taken()
        if "publickey" in self._allowed:
            self._show_keys()
        if not self._done and self._takes_answers() and can_ask():
            self._answer()
        if not self._done:
            raise self._refused()

    def _ask_what_is_taken(self) -> None:
        """RFC 4252 section 5.2: the method "none" lists the others, or lets us in."""
        with self._answered():
            try:
                self._transport.auth_none(self._target.user)
            except BadAuthenticationType as error:
                self._allowed = list(error.allowed_types)
            else:
                self._done = True

    def _show_keys(self) -> None:
        with our_keys(self._target) as keys:
            self._locked = keys.locked
            for label, key in keys.ready:
                if self._show(label, key):
                    return
        for file in self._locked:
            opened = unlocked(file)
            if opened is not None and self._show(str(file), opened):
                return

    def _show(self, label: str, key: paramiko.PKey) -> bool:
        """Whether nothing more is to be shown: we are in, or something else is wanted."""
        self._tried.append(label)
        with self._answered():
            try:
                further = self._transport.auth_publickey(self._target.user, key)
            except BadAuthenticationType:
                raise
            except AuthenticationException:
                if not self._transport.is_active():
                    raise
                return False
            self._done = not further
            self._allowed = list(further) or self._allowed
        return True

    def _answer(self) -> None:
        self._tried.append("what was typed")
        with self._answered():
            self._done = ask_and_send(self._transport, self._target, self._allowed)

    def _takes_answers(self) -> bool:
        return not ASKED.isdisjoint(self._allowed)

    @contextlib.contextmanager
    def _answered(self) -> Iterator[None]:
        """Tell a server that is silent or hangs up from one that says no."""
        try:
            yield
        except (SSHException, EOFError, ConnectionError) as error:
            if str(error).startswith("Authentication timeout"):
                raise ConnectError(
                    f"{self._target.where} did not answer our login within "
                    f"{self._transport.auth_timeout:g} s.",
                    hint="Is the device busy, or does it look up our name (UseDNS)?",
                ) from error
            if not self._transport.is_active():
                raise self._hung_up() from error
            raise

    def _hung_up(self) -> AuthError | ConnectError:
        """A server says why it hangs up on somebody; a line that is cut says nothing."""
        why = self._farewell().rstrip(".")
        if not why or not self._tried:
            return ConnectError(
                f"{self._target.where} closed the connection during our login{why and f': {why}'}.",
                hint="Is it still up, and does it take so many connections (MaxStartups)?",
            )
        return AuthError(
            f"{self._target.name} hung up after {len(self._tried)} tries "
            f"({', '.join(self._tried)}): {why}.",
            hint="Name the right key: identity_file in devices.toml.",
        )

    def _refused(self) -> AuthError:
        target = self._target
        if self._locked and not can_ask():
            return AuthError(
                f"The private key {self._locked[0]} is protected by a passphrase, and the agent "
                f"holds no key that {target.name} accepts.",
                hint=f"Let the agent hold it. Run: ssh-add {self._locked[0]}",
            )
        listed = (
            ", ".join(self._tried) or "there is none: no identity_file, no agent, none in ~/.ssh"
        )
        port = "" if target.port == SSH_PORT else f" -p {target.port}"
        return AuthError(
            f"{target.name} accepted none of our keys for the user {target.user!r} ({listed})."
            f"{self._besides()}",
            hint=f"Run: ssh-copy-id{port} {target.user}@{target.host}",
        )

    def _besides(self) -> str:
        """What else the server would take."""
        if self._takes_answers() and not can_ask():
            return " It also takes a password, but there is no terminal to ask for it."
        if self._takes_answers():
            return " Nor did it accept the password."
        if "publickey" not in self._allowed:
            return f" It takes: {', '.join(self._allowed)}."
        return ""
