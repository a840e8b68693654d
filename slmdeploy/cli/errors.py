"""Every error ends here once: a message, a way out and an exit code."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from slmdeploy.cli.console import visible
from slmdeploy.errors import SlmdeployError

__all__ = ["BUG", "INTERRUPTED", "error_payload", "guarded", "worst"]

BUG = 70
INTERRUPTED = 130
_SCHEMA = "slmdeploy/error/1"
_ORDER = (4, 3, 1, 5)
"""Of several failures the first of these gives the exit code."""


def guarded(body: Callable[[], int], argv: Sequence[str]) -> int:
    """Run a command; turn whatever it raises into output and an exit code.

    Args:
        body: The command; gives its exit code.
        argv: The words of the command line; ``--json`` and ``-v`` count here too, since
            an error may come before they are parsed.
    """
    try:
        code = body()
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except BrokenPipeError:
        return _reader_went_away()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last line of all
        return _explained(error, _before_dashes(argv))
    return code


def error_payload(error: SlmdeployError) -> dict[str, Any]:
    """The error as a value of a JSON document."""
    return _payload(type(error).__name__, error.message, error.hint, error.exit_code)


def worst(codes: Iterable[int]) -> int:
    """The exit code of several: 4, 3, 1, 5 in this order, then the largest."""
    seen = set(codes)
    return next((code for code in _ORDER if code in seen), max(seen, default=0))


def _before_dashes(argv: Sequence[str]) -> Sequence[str]:
    return argv[: argv.index("--")] if "--" in argv else argv


def _explained(error: BaseException, words: Sequence[str]) -> int:
    as_json = "--json" in words
    if isinstance(error, KeyboardInterrupt | click.Abort):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return error.exit_code
    if isinstance(error, click.ClickException):
        return _usage(error, as_json=as_json)
    if isinstance(error, SlmdeployError):
        return _expected(error, as_json=as_json)
    return _bug(error, as_json=as_json, verbose=_is_verbose(words))


def _is_verbose(words: Sequence[str]) -> bool:
    return any(word == "--verbose" or re.fullmatch("-q*v[qv]*", word) for word in words)


def _payload(kind: str, message: str, hint: str | None, code: int) -> dict[str, Any]:
    return {"type": kind, "message": message, "hint": hint, "exit_code": code}


def _say(payload: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps({"schema": _SCHEMA, "error": payload}, ensure_ascii=False))
    click.echo(f"{click.style('Error:', fg='red')} {visible(payload['message'])}", err=True)
    if payload["hint"]:
        click.echo(f"  {visible(payload['hint'])}", err=True)
    code: int = payload["exit_code"]
    return code


def _expected(error: SlmdeployError, *, as_json: bool) -> int:
    return _say(error_payload(error), as_json=as_json)


def _usage(error: click.ClickException, *, as_json: bool) -> int:
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = None if context is None else f"Run: {context.command_path} --help"
    message = error.format_message()
    return _say(_payload("UsageError", message, hint, 2), as_json=as_json)


def _reader_went_away() -> int:
    """Whoever read our output closed it; what Python still holds goes nowhere."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
    return INTERRUPTED


def _bug(error: BaseException, *, as_json: bool, verbose: bool) -> int:
    import traceback

    text = "".join(traceback.format_exception(error))
    if verbose:
        click.echo(text, err=True)
    first = (str(error).splitlines() or [""])[0]
    message = f"This is a bug of slmdeploy: {type(error).__name__}: {first}".rstrip(": ")
    return _say(_payload(type(error).__name__, message, _save(text), BUG), as_json=as_json)


def _save(text: str) -> str:
    """Keep a traceback; gives the sentence that says where."""
    import time

    from slmdeploy.places import state_dir

    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.txt"
    path = state_dir() / "tracebacks" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        return f"The traceback could not be saved ({error.strerror}); -v prints it."
    return f"The traceback is in {path}; -v prints it."
