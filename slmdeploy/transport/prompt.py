"""Ask whoever sits at the terminal; the only place that does.

Secrets are read from ``/dev/tty`` without echo, never from standard input, an argument or
a variable. They are kept in memory until the program ends, so that a lost connection does
not ask again, and nowhere else. ``SLMDEPLOY_PROMPT=never`` asks nothing, as ``BatchMode``
of ssh_config(5).
"""

from __future__ import annotations

import getpass
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

__all__ = [
    "PROMPT_VARIABLE",
    "Asker",
    "Secret",
    "Terminal",
    "answered_by",
    "ask_line",
    "ask_secret",
    "ask_yes",
    "can_ask",
    "while_asking",
]

PROMPT_VARIABLE = "SLMDEPLOY_PROMPT"
TERMINAL = Path("/dev/tty")


@dataclass(frozen=True)
class Secret:
    """A password or a passphrase that shows itself to nobody."""

    text: str = field(repr=False)


class Asker(Protocol):
    """Whoever answers questions."""

    def can_answer(self) -> bool:
        """Whether anybody is there."""

    def secret(self, question: str) -> str:
        """An answer that is not shown while it is typed; empty at the end of the input."""

    def line(self, question: str) -> str:
        """An answer that is shown; empty at the end of the input."""


class Terminal:
    """The controlling terminal of this process, if it has one."""

    def can_answer(self) -> bool:
        """Whether there is a terminal, and it may be used."""
        if os.environ.get(PROMPT_VARIABLE) == "never":
            return False
        try:
            os.close(os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY))
        except OSError:
            return False
        return True

    def secret(self, question: str) -> str:
        """Read without echo; the terminal is put back whatever happens."""
        try:
            return getpass.getpass(question)
        except EOFError:  # Ctrl-D
            return ""

    def line(self, question: str) -> str:
        """Read with echo."""
        with TERMINAL.open("r", encoding="utf-8") as reader, TERMINAL.open("w") as writer:
            writer.write(question)
            writer.flush()
            return reader.readline()


class _State:
    """Who answers now, and what is to be still meanwhile."""

    def __init__(self) -> None:
        self.asker: Asker = Terminal()
        self.still: Callable[[], AbstractContextManager[object]] = nullcontext
        self.lock = threading.RLock()


_STATE = _State()


def can_ask() -> bool:
    """Whether anybody can be asked."""
    return _STATE.asker.can_answer()


def ask_secret(question: str) -> Secret | None:
    """Ask for a password or a passphrase; ``None`` if nobody can be asked."""
    with _asking() as asker:
        return None if asker is None else Secret(asker.secret(_printable(question)))


def ask_line(question: str) -> str | None:
    """Ask for a line that may be seen; ``None`` if nobody can be asked."""
    with _asking() as asker:
        return None if asker is None else asker.line(_printable(question)).rstrip("\r\n")


def ask_yes(question: str) -> bool | None:
    """Ask until the answer is yes or no; ``None`` if nobody can be asked.

    The end of the input is a no.
    """
    with _asking() as asker:
        while asker is not None:
            answer = asker.line(f"{question} [yes/no] ")
            if answer.strip().lower() in {"yes", "y"}:
                return True
            if not answer or answer.strip().lower() in {"no", "n"}:
                return False
    return None


@contextmanager
def answered_by(asker: Asker) -> Iterator[None]:
    """Let somebody else answer inside the block."""
    before, _STATE.asker = _STATE.asker, asker
    try:
        yield
    finally:
        _STATE.asker = before


@contextmanager
def while_asking(still: Callable[[], AbstractContextManager[object]]) -> Iterator[None]:
    """Inside the block, enter ``still()`` around each question: a progress bar pauses."""
    before, _STATE.still = _STATE.still, still
    try:
        yield
    finally:
        _STATE.still = before


@contextmanager
def _asking() -> Iterator[Asker | None]:
    """One question at a time, though several boards are reached at once."""
    with _STATE.lock:
        if not _STATE.asker.can_answer():
            yield None
            return
        with _STATE.still():
            yield _STATE.asker


def _printable(text: str) -> str:
    """Without control characters: a server may send its own question."""
    return "".join(letter for letter in text if letter.isprintable())
