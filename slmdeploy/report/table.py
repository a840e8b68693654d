"""A report for the terminal: metrics down, records across."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slmdeploy.bench.metrics import METRICS
from slmdeploy.report.definitions import STATISTICS
from slmdeploy.report.sheet import Sheet, make_sheets
from slmdeploy.store.record import Record

__all__ = ["RECORDS_ABREAST", "render_table"]

RECORDS_ABREAST = 3
"""Records side by side; more go below, so that 80 columns are enough."""

_WIDTHS = {1: 44, 2: 26, 3: 18}  # of a record, by how many stand abreast; an id takes 18


def render_table(records: Sequence[Record], *, definitions: bool = False) -> RenderableType:
    """A rich renderable; arguments as for ``render_markdown``."""
    parts: list[RenderableType] = []
    for sheet in make_sheets(records):
        parts += _sheet(sheet)
    if not parts:
        parts.append(Text("No records."))
    if definitions:
        parts += [Text(), _definitions()]
    return Group(*parts)


def _sheet(sheet: Sheet) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(sheet.caption)] if sheet.caption else []
    parts += [
        _block(sheet, sheet.rows[first : first + RECORDS_ABREAST])
        for first in range(0, len(sheet.rows), RECORDS_ABREAST)
    ]
    parts += [Text(warning, style="bold yellow") for warning in sheet.warnings]
    parts += [Text(f"[{i}] {text}", style="dim") for i, text in enumerate(sheet.footnotes, 1)]
    return parts


def _block(sheet: Sheet, rows: Sequence[Sequence[str]]) -> Table:
    """Rows of the sheet as columns; the first head and cells are the table's head."""
    table = Table(header_style="bold")
    table.add_column(sheet.heads[0])
    for row in rows:
        table.add_column(Text(row[0]), justify="right", overflow="fold", width=_WIDTHS[len(rows)])
    for place, head in enumerate(sheet.heads[1:], start=1):
        table.add_row(Text(head), *(_cell(head, row[place]) for row in rows))
    return table


def _cell(head: str, text: str) -> Text:
    bad = head == "Status" and not text.startswith("valid")
    return Text(text, style="bold red" if bad else "")


def _definitions() -> Table:
    table = Table("Id", "Unit", "Better", "Definition", title="Definitions", show_lines=True)
    for metric in METRICS.values():
        table.add_row(metric.id, metric.unit, metric.better or "", Text(metric.definition))
    for name, text in STATISTICS.items():
        table.add_row(name, "", "", Text(text))
    return table
