"""Questions go to whoever sits at the terminal, one at a time, or to nobody."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from slmdeploy.transport import prompt
from slmdeploy.transport.prompt import (
    PROMPT_VARIABLE,
    Secret,
    Terminal,
    answered_by,
    ask_line,
    ask_secret,
    ask_yes,
    can_ask,
    while_asking,
)
from tests.transport.answers import Answers


def test_a_secret_does_not_show_itself():
    with answered_by(Answers("sesame")):
        secret = ask_secret("Password: ")
    assert secret == Secret("sesame")
    assert "sesame" not in f"{secret!r}{secret}{[secret]}"


def test_where_nobody_may_be_asked_there_is_no_answer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(PROMPT_VARIABLE, "never")
    assert not can_ask()
    assert (ask_secret("?"), ask_line("?"), ask_yes("?")) == (None, None, None)


def test_a_process_without_a_terminal_asks_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv(PROMPT_VARIABLE)
    monkeypatch.setattr(prompt, "TERMINAL", tmp_path / "no such terminal")
    assert not Terminal().can_answer()


def test_yes_and_no_are_asked_for_until_one_comes():
    answers = Answers("maybe", "", "yes")
    # An empty line is no answer; nothing at all is the end of the input, and a no.
    with answered_by(answers):
        assert ask_yes("Trust it?") is True
    assert answers.asked == ["Trust it? [yes/no] "] * 3
    with answered_by(Answers("No")):
        assert ask_yes("Trust it?") is False


def test_the_end_of_the_input_is_a_no():
    class Ended(Answers):
        def line(self, question: str) -> str:
            return ""

    with answered_by(Ended()):
        assert ask_yes("Trust it?") is False


def test_ctrl_d_at_a_secret_is_an_empty_one(monkeypatch: pytest.MonkeyPatch):
    def ended(question: str) -> str:
        raise EOFError

    monkeypatch.setattr(prompt.getpass, "getpass", ended)
    assert Terminal().secret("Password: ") == ""


def test_a_question_of_a_server_cannot_move_the_cursor():
    answers = Answers("x")
    with answered_by(answers):
        ask_secret("Pass\x1b[2J\rword: ")
    assert answers.asked == ["Pass[2Jword: "]


def test_whatever_draws_is_still_while_somebody_is_asked():
    seen: list[str] = []

    @contextlib.contextmanager
    def still() -> Iterator[None]:
        seen.append("still")
        yield
        seen.append("goes on")

    class Watching(Answers):
        def secret(self, question: str) -> str:
            seen.append("asked")
            return "x"

    with answered_by(Watching()), while_asking(still):
        ask_secret("?")
    assert seen == ["still", "asked", "goes on"]


def test_two_boards_ask_one_after_the_other():
    first_is_asked, may_answer = threading.Event(), threading.Event()
    order: list[str] = []

    class Slow(Answers):
        def secret(self, question: str) -> str:
            order.append(f"asked {question}")
            if question == "a":
                first_is_asked.set()
                assert may_answer.wait(10)
            order.append(f"answered {question}")
            return "x"

    with answered_by(Slow()):
        one = threading.Thread(target=ask_secret, args=("a",))
        one.start()
        assert first_is_asked.wait(10)
        two = threading.Thread(target=ask_secret, args=("b",))
        two.start()
        may_answer.set()
        one.join()
        two.join()
    assert order == ["asked a", "answered a", "asked b", "answered b"]
