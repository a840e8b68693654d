"""Where output goes.

Without ``--json`` what was asked for goes to stdout. With it, stdout has one document
with a ``schema`` key and nothing else. Remarks and progress go to stderr always.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from slmdeploy.progress import Progress

__all__ = ["Console", "bytes_text", "estimate_text", "plain", "table_text", "visible"]

_NUMBER = re.compile(r"-|-?\d[\d.,]*(e[+-]?\d+)?( ?[A-Za-z%/]+)?")
"""With or without a unit; ``-`` stands for none."""

_STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters and what else ends a line, but the usual end of one."""


@dataclasses.dataclass(frozen=True)
class Console:
    """What the user asked of the output.

    Attributes:
        json: ``--json``.
        quiet: ``-q``: no remarks and no progress.
        verbose: ``-v``: details as well.
    """

    json: bool = False
    quiet: bool = False
    verbose: bool = False

    def show(self, schema: str, payload: Mapping[str, Any], people: Callable[[], str]) -> None:
        """Print a result: the document with ``--json``, else the text.

        Args:
            schema: Name and version of the document, as in ``slmdeploy/push/1``.
            payload: The document's other keys.
            people: Makes the text; called only when it is shown.
        """
        if self.json:
            click.echo(json.dumps({"schema": schema, **plain(payload)}, ensure_ascii=False))
        else:
            click.echo(people())

    def event(self, schema: str, payload: Mapping[str, Any]) -> None:
        """Print one line of a stream of JSON lines, at once."""
        click.echo(json.dumps({"schema": schema, **plain(payload)}, ensure_ascii=False))
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """A remark for people; not with ``-q``."""
        if not self.quiet:
            click.echo(text, err=True)

    def detail(self, text: str) -> None:
        """A remark that only ``-v`` shows."""
        if self.verbose and not self.quiet:
            click.echo(text, err=True)

    def progress(self) -> AbstractContextManager[Progress]:
        """Show progress while it is open: bars on a terminal, plain lines elsewhere."""
        from slmdeploy.cli.progress import shown

        return shown(quiet=self.quiet, terminal=sys.stderr.isatty())


def plain(value: Any) -> Any:
    """Turn dataclasses, pydantic models, paths and tuples into what JSON has."""
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has neither; what stands beside it says why
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def table_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Columns of text; a column of nothing but numbers stands on the right.

    ``None`` is shown as ``-``. Lines are never cut or wrapped: a pipe has no width.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    raw = [list(columns), *cells]
    widths = [max(len(line[i]) for line in raw) for i in range(len(columns))]
    right = [all(map(_is_number, column)) for column in zip(*cells, strict=True)]
    right = right or [False] * len(columns)
    return "\n".join(
        "  ".join(
            text.rjust(width) if on_right else text.ljust(width)
            for text, width, on_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in raw
    )


def bytes_text(count: int | None) -> str:
    """A number of bytes for people; ``-`` where there is none."""
    from slmdeploy.target.units import format_bytes

    return "-" if count is None else format_bytes(count)


def estimate_text(count: int | None, reason: str | None) -> str:
    """An estimate in bytes, or why there is none."""
    return f"not known: {reason}" if count is None else f"{bytes_text(count)} (estimate)"


def visible(text: str) -> str:
    """A text whose characters do not steer the terminal: boards and servers say what they like."""
    return _STEERING.sub("\N{REPLACEMENT CHARACTER}", text)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return visible(str(value)).replace("\n", " ")


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None
