"""``slmdeploy runs list|show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slmdeploy.cli.console import Console, plain, table_text
from slmdeploy.cli.options import common, store_option
from slmdeploy.cli.runs_import import command as import_command

if TYPE_CHECKING:
    from slmdeploy.store.record import Record

__all__ = ["command"]


@click.group("runs")
def command() -> None:
    """List and show stored measurements, and bring in those of other tools."""


command.add_command(import_command)


@command.command("list")
@store_option
@common
def list_runs(console: Console, store: str | None) -> None:
    """List all runs, the newest first; failed ones stay with their reason."""
    from slmdeploy import pipeline

    rows = pipeline.runs(store=store)

    def text() -> str:
        if not rows:
            return "No runs are stored yet. Run: slmdeploy bench BUNDLE --device local"
        columns = ["run", "created", "bundle", "target", "device", "status", "reason"]
        return table_text(
            columns,
            [
                (
                    r.id,
                    f"{r.created:%Y-%m-%d %H:%M}",
                    r.bundle,
                    r.target,
                    r.device,
                    r.status if r.imported is None else f"{r.status}, imported",
                    r.reason or "",
                )
                for r in rows
            ],
        )

    console.show("slmdeploy/runs-list/1", {"runs": [_document(row) for row in rows]}, text)


@command.command("show")
@click.argument("run")
@click.option("--log", is_flag=True, help="Only the raw text of the board's sensors.")
@store_option
@common
def show_run(console: Console, run: str, store: str | None, *, log: bool) -> None:
    """Show one RUN: its figures, and how each of its processes ended.

    All that was stamped and read is in the document of --json.
    """
    from slmdeploy import pipeline

    found = pipeline.record(run, store=store)
    if log:
        text = found.watch_log or "No readings were kept with this run."
        console.show("slmdeploy/runs-log/1", {"run": run, "log": found.watch_log}, text.rstrip)
        return
    console.show(
        "slmdeploy/runs-show/1",
        {"run": run, "record": plain(found)},
        lambda: f"{pipeline.report([run], store=store).rstrip()}\n\n{_processes(found)}",
    )


def _processes(record: Record) -> str:
    """A line for each process of a run, those of the warm-up too."""
    columns = ["process", "outcome", "tokens", "ended by", "remarks"]
    return table_text(
        columns,
        [
            (
                f"{sample.role} {sample.index}",
                sample.outcome,
                len(sample.tokens) or None,
                sample.ended,
                "; ".join(filter(None, (sample.reason, *sample.notes))) or None,
            )
            for sample in record.samples
        ],
    )


def _document(record: Record) -> dict[str, Any]:
    keys = ("id", "created", "bundle", "target", "device", "status", "reason")
    document: dict[str, Any] = plain(record)
    imported = None if record.imported is None else record.imported.tool
    return {**{key: document[key] for key in keys}, "imported": imported}
