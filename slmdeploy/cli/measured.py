"""Print what ``bench`` and ``run`` measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.outcome import finish

if TYPE_CHECKING:
    from slmdeploy.pipeline import Attempt
    from slmdeploy.store.record import Record

__all__ = ["finish_measured"]


def finish_measured(
    console: Console,
    schema: str,
    attempts: Sequence[Attempt[Record]],
    *,
    store: str | None,
    more: Mapping[str, Any],
) -> int:
    """Print the records as one table below a line for each, or all as one document."""
    from slmdeploy import pipeline

    code = finish(
        console,
        schema,
        attempts,
        lambda subject, got: f"{subject}: {got.id}",
        idle="would be measured",
        more=more,
    )
    kept = [attempt.value.id for attempt in attempts if attempt.value is not None]
    if kept and not console.json:
        click.echo(pipeline.report(kept, store=store).rstrip())
    return code
