"""Passwords and other questions of a server, answered at the terminal."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

import paramiko
from paramiko.ssh_exception import AuthenticationException, SSHException

from slmdeploy.errors import AuthError
from slmdeploy.transport.prompt import Secret, ask_line, ask_secret
from slmdeploy.transport.ssh.config import SshTarget

__all__ = ["ASKED", "ask_and_send"]

ASKED = frozenset({"keyboard-interactive", "password"})
TRIES = 3
TYPING_SECONDS = 120.0
"""As long as OpenSSH's server waits for a login (LoginGraceTime)."""

Field = tuple[str, bool]
"""A question, and whether its answer may be seen."""

# What let us in, so that a lost connection does not ask again: in memory alone.
# By name as well: behind two jump hosts two boards may have one address.
_ACCEPTED: dict[tuple[str, str, int, str], Secret] = {}


def ask_and_send(transport: paramiko.Transport, target: SshTarget, allowed: Sequence[str]) -> bool:
    """Log in with what somebody types; whether that let us in.

    Args:
        transport: A connection whose host key was checked.
        target: Where to.
        allowed: The methods that the server takes.

    Raises:
        AuthError: It wants something else besides.
    """
    place = (target.name, target.host, target.port, target.user)
    login = _Answers(transport, target)
    method = login.interactive if "keyboard-interactive" in allowed else login.password
    for _ in range(TRIES):
        login.remembered = _ACCEPTED.pop(place, None)
        try:
            further = method()
        except AuthenticationException:
            if not transport.is_active():
                raise
            continue
        if further:
            raise AuthError(
                f"{target.name} wants more than that: {', '.join(further)}.",
                hint="Allow a key alone (AuthenticationMethods publickey) for this user.",
            )
        if login.only is not None:
            _ACCEPTED[place] = login.only
        return True
    return False


class _Answers:
    """One attempt after the other.

    Attributes:
        remembered: What let us in before, taken instead of an answer.
    """

    def __init__(self, transport: paramiko.Transport, target: SshTarget) -> None:
        self.remembered: Secret | None = None
        self._sent: list[Secret] = []
        self._transport = transport
        self._target = target

    @property
    def only(self) -> Secret | None:
        """The one secret that was sent; ``None`` if there were several, or none."""
        return self._sent[0] if len(self._sent) == 1 else None

    def password(self) -> list[str]:
        """The method "password", RFC 4252 section 8."""
        self._sent = []
        text = self._secret(self._question("Password"))
        return self._transport.auth_password(self._target.user, text, fallback=False)

    def interactive(self) -> list[str]:
        """The method "keyboard-interactive", RFC 4256.

        Paramiko calls for answers in its own thread; they are asked for in ours, so that
        Ctrl-C ends the question and gives the terminal its echo back.
        """
        self._sent = []
        user, transport = self._target.user, self._transport
        before, transport.auth_timeout = transport.auth_timeout, TYPING_SECONDS
        rounds = _Rounds(lambda answer: transport.auth_interactive(user, answer))
        try:
            return rounds.run(self._answers)
        finally:
            transport.auth_timeout = before

    def _answers(self, instructions: str, fields: Sequence[Field]) -> list[str]:
        answers = []
        for asked, seen in fields:
            what = " ".join([*instructions.split(), asked.strip().rstrip(":") or "Password"])
            question = self._question(what)
            answers.append(ask_line(question) or "" if seen else self._secret(question))
        return answers

    def _secret(self, question: str) -> str:
        secret = self.remembered or ask_secret(question) or Secret("")
        self.remembered = None
        self._sent.append(secret)
        return secret.text

    def _question(self, what: str) -> str:
        return f"{what} for {self._target.user}@{self._target.address} ({self._target.name}): "


class _Rounds:
    """A login in a thread of its own whose questions come back to the caller's.

    Args:
        login: Logs in, asking the function that it is given.
    """

    def __init__(self, login: Callable[[Callable[..., list[str]]], list[str]]) -> None:
        self._login = login
        self._questions: queue.SimpleQueue[tuple[str, Sequence[Field]] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._further: list[str] = []
        self._error: BaseException | None = None

    def run(self, answered: Callable[[str, Sequence[Field]], list[str]]) -> list[str]:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            while (asked := self._questions.get()) is not None:
                self._answers.put(answered(*asked))
        except BaseException:
            self._answers.put(None)  # paramiko's thread waits for it
            raise
        thread.join()
        if self._error is not None:
            raise self._error
        return self._further

    def _run(self) -> None:
        try:
            self._further = self._login(self._ask)
        except BaseException as error:  # noqa: BLE001  raised again by run
            self._error = error
        finally:
            self._questions.put(None)

    def _ask(self, title: str, instructions: str, fields: Sequence[Field]) -> list[str]:
        del title
        if not fields:  # a round that asks nothing, as OpenSSH with PAM sends at the end
            return []
        self._questions.put((instructions, fields))
        answers = self._answers.get()
        if answers is None:
            raise SSHException("Nobody answered.")
        return answers
