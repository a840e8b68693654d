"""Somebody at the terminal, for tests: answers in order, and what was asked."""

from __future__ import annotations

from collections.abc import Iterable


class Answers:
    """Gives its answers one after the other; a question too many fails the test."""

    def __init__(self, *answers: str) -> None:
        self._left: Iterable[str] = iter(answers)
        self.asked: list[str] = []

    def can_answer(self) -> bool:
        return True

    def secret(self, question: str) -> str:
        self.asked.append(question)
        return next(iter(self._left))

    def line(self, question: str) -> str:
        return self.secret(question) + "\n"
