"""The formats of a report, by name."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console, RenderableType

from slmdeploy.errors import UnknownNameError
from slmdeploy.report.csv_ import render_csv
from slmdeploy.report.json_ import render_json
from slmdeploy.report.markdown import render_markdown
from slmdeploy.report.table import render_table
from slmdeploy.store.record import Record

__all__ = ["FORMATS", "Renderer", "render", "render_text"]


class Renderer(Protocol):
    """Makes text, or something that rich prints, of records."""

    def __call__(self, records: Sequence[Record], *, definitions: bool = False) -> RenderableType:
        """Render records in their order; with the definitions, if asked."""


FORMATS: dict[str, Renderer] = {
    "table": render_table,
    "md": render_markdown,
    "json": render_json,
    "csv": render_csv,
}


def render(name: str, records: Sequence[Record], *, definitions: bool = False) -> RenderableType:
    """Render records in a format of ``FORMATS``.

    Returns:
        Text for every format but ``table``, which is for rich's console.

    Raises:
        UnknownNameError: There is no such format.
        UsageError: The format cannot hold definitions.
    """
    if name not in FORMATS:
        raise UnknownNameError("format", name, FORMATS)
    return FORMATS[name](records, definitions=definitions)


def render_text(
    name: str, records: Sequence[Record], *, definitions: bool = False, width: int | None = None
) -> str:
    """As ``render``, but plain text for every format.

    Args:
        name: A key of ``FORMATS``.
        records: In the order in which they are shown.
        definitions: Append the definitions of all metrics.
        width: Columns of the table; by default the terminal's.
    """
    made = render(name, records, definitions=definitions)
    if isinstance(made, str):
        return made
    columns = width or shutil.get_terminal_size((100, 24)).columns
    console = Console(file=io.StringIO(), width=columns, color_system=None)
    with console.capture() as captured:
        console.print(made)
    return captured.get()
