"""Scripts of POSIX shell for a board: constant texts, whose data goes in as arguments."""

from __future__ import annotations

__all__ = ["fields_of", "script"]


def script(text: str, *arguments: str) -> list[str]:
    """The command that runs a script; ``$1`` is the first argument."""
    return ["sh", "-c", text, "slmdeploy", *arguments]


def fields_of(text: str) -> dict[str, str]:
    """From lines of a word and a value; of a word that comes twice the last."""
    return {key: value for key, _, value in (row.partition(" ") for row in text.splitlines())}
