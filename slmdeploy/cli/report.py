"""``slmdeploy report``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.options import common, store_option

if TYPE_CHECKING:
    from slmdeploy.pipeline import ReportFormat

__all__ = ["command"]


@click.command("report")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "json", "csv"]),
    default="table",
    help="By default a table for the terminal.",
)
@click.option("--definitions", is_flag=True, help="Say how each figure is defined.")
@store_option
@common
def command(
    *,
    console: Console,
    runs: tuple[str, ...],
    form: ReportFormat,
    store: str | None,
    definitions: bool,
) -> None:
    """Print measurements: those named, or all that are stored.

    --json is the same as --format json.
    """
    from slmdeploy import pipeline

    chosen: ReportFormat = "json" if console.json else form
    click.echo(
        pipeline.report(runs, format=chosen, definitions=definitions, store=store).rstrip("\n")
    )
