"""Print the attempts of a step and choose the exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from slmdeploy.cli.console import Console, plain, visible
from slmdeploy.cli.errors import error_payload, worst

if TYPE_CHECKING:
    from slmdeploy.pipeline import Attempt

__all__ = ["attempts_document", "finish"]

T = TypeVar("T")


def attempts_document(attempts: Sequence[Attempt[T]], subject: str) -> list[dict[str, Any]]:
    """One value of a JSON document for each attempt, failed ones too.

    Args:
        attempts: What the step gave.
        subject: The key that names an attempt, as in ``device``.
    """
    return [
        {
            subject: attempt.subject,
            "result": plain(attempt.value),
            "error": None if attempt.error is None else error_payload(attempt.error),
        }
        for attempt in attempts
    ]


def finish(
    console: Console,
    schema: str,
    attempts: Sequence[Attempt[T]],
    people: Callable[[str, T], str],
    *,
    subject: str = "device",
    also: Callable[[T], int] | None = None,
    idle: str | None = None,
    more: Mapping[str, Any] | None = None,
    end: str | None = None,
) -> int:
    """Print what a step gave for each target or device.

    Args:
        console: Where to.
        schema: Name and version of the document.
        attempts: What the step gave; the first failure alone is raised when there is
            nothing else to print.
        people: Text for the subject and its value.
        subject: The key that names an attempt.
        also: Exit code that a value itself asks for (a broken rung).
        idle: Text for one that gave nothing and did not fail, as of a dry run.
        more: Further keys of the document.
        end: Text for people after all of it.

    Returns:
        The exit code: of several, the first that applies in the order 4, 3, 1, 5.
    """
    if len(attempts) == 1 and attempts[0].error is not None and attempts[0].value is None:
        raise attempts[0].error

    def text() -> str:
        lines = [_line(attempt, people, idle) for attempt in attempts]
        return "\n".join(lines if end is None else [*lines, end])

    payload = {**(more or {}), "results": attempts_document(attempts, subject)}
    console.show(schema, payload, text)
    return worst(_code(attempt, also) for attempt in attempts)


def _line(attempt: Attempt[T], people: Callable[[str, T], str], idle: str | None) -> str:
    if attempt.value is None and attempt.error is None and idle is not None:
        return f"{attempt.subject}: {idle}"
    lines = [] if attempt.value is None else [people(attempt.subject, attempt.value)]
    if attempt.error is not None:
        lines.append(f"{attempt.subject}: {visible(str(attempt.error))}")
    return "\n".join(lines)


def _code(attempt: Attempt[T], also: Callable[[T], int] | None) -> int:
    if attempt.error is not None:
        return attempt.error.exit_code
    return also(attempt.value) if also is not None and attempt.value is not None else 0
