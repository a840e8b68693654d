"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from slmdeploy.report.definitions import definitions_markdown
from slmdeploy.report.sheet import Sheet, make_sheets
from slmdeploy.store.record import Record

__all__ = ["render_markdown"]

_IDENTITY = 8  # columns of words, before the numbers


def render_markdown(records: Sequence[Record], *, definitions: bool = False) -> str:
    """One table a kind of workload, a row per record, with footnotes below.

    Args:
        records: In the order of the rows.
        definitions: Append the definitions of all metrics.
    """
    parts = [_sheet(sheet) for sheet in make_sheets(records)] or ["No records.\n"]
    if definitions:
        parts.append(f"## Definitions\n\n{definitions_markdown()}")
    return "\n".join(parts)


def _sheet(sheet: Sheet) -> str:
    rules = ["---" if i < _IDENTITY else "---:" for i in range(len(sheet.heads))]
    lines = [sheet.caption, ""] if sheet.caption else []
    lines += [_line(sheet.heads), _line(rules), *map(_line, sheet.rows)]
    if sheet.warnings:
        lines += ["", *(f"**{_escaped(warning)}**" for warning in sheet.warnings)]
    if sheet.footnotes:
        lines += ["", *(f"- [{i}] {_escaped(text)}" for i, text in enumerate(sheet.footnotes, 1))]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    """Text that stays within its cell and is not taken for markup."""
    flat = " ".join(text.split())
    return flat.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
