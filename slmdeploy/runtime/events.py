"""Reads what a runner says: one JSON object a line, strictly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from slmdeploy.errors import RunnerError
from slmdeploy.runtime.protocol import Event

__all__ = ["PROTOCOL", "error_of", "parse_line", "parse_lines"]

PROTOCOL = 1
"""The version of ``docs/runner-protocol.md`` that this host speaks."""

_SHOWN = 120
_BAD_OUTPUT = "slmdeploy push brings a runner of this version to the device."


def parse_line(line: str) -> Event:
    """Read one line of a runner's stdout.

    Args:
        line: Without its line end.

    Raises:
        RunnerError: It is not one JSON object with a name under ``event``; cause
            ``bad_output``.
    """
    try:
        found = json.loads(line, parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        found = None
    kind = found.pop("event", None) if isinstance(found, dict) else None
    if not isinstance(kind, str) or not kind:
        shown = line if len(line) <= _SHOWN else line[:_SHOWN] + "..."
        raise RunnerError(
            f"The runner said something that is not an event: {shown!r}",
            cause="bad_output",
            hint=_BAD_OUTPUT,
        )
    return Event(kind, found)


def parse_lines(lines: Iterable[str]) -> Iterator[Event]:
    """Read a whole run; unknown kinds of events are handed on.

    An ``error`` event is yielded like any other, then raised.

    Raises:
        RunnerError: A line is not an event; the first is not a ``start`` of our
            protocol; the runner reported an error; or it ended without ``done``.
    """
    last = None
    source = iter(lines)
    for line in source:
        try:
            event = parse_line(line)
        except RunnerError:
            # A process that was killed in the middle of a line: how it died, which the
            # next step raises, tells more than the half line.
            next(source, None)
            raise
        if last is None:
            _check_start(event)
        last = event
        yield event
        if event.kind == "error":
            raise error_of(event)
    if last is None or last.kind != "done":
        raise RunnerError(
            "The runner ended without saying that it was done.", cause="no_end", hint=None
        )


def error_of(event: Event) -> RunnerError:
    """The exception for an ``error`` event."""
    cause, message = event.data.get("cause"), event.data.get("message")
    hint = event.data.get("hint")
    return RunnerError(
        message if isinstance(message, str) and message else "The runner gave no reason.",
        cause=cause if isinstance(cause, str) and cause else "unknown",
        hint=hint if isinstance(hint, str) and hint else None,
    )


def _check_start(event: Event) -> None:
    if event.kind == "error":  # a fault on the command line comes before the start
        return
    spoken = event.data.get("protocol") if event.kind == "start" else None
    if spoken != PROTOCOL:
        said = f"protocol {spoken!r}" if event.kind == "start" else f"{event.kind!r} first"
        raise RunnerError(
            f"The runner speaks {said}, but this host speaks protocol {PROTOCOL}.",
            cause="protocol",
            hint=_BAD_OUTPUT,
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
