"""Show progress: bars of rich on a terminal, one line a step elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from slmdeploy.progress import Progress, Step, silent

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

__all__ = ["LineProgress", "amount_text", "shown"]


@contextmanager
def shown(*, quiet: bool, terminal: bool) -> Iterator[Progress]:
    """Give a ``Progress`` that writes to stderr.

    Args:
        quiet: Show nothing.
        terminal: Whether stderr is a terminal that can draw bars.
    """
    if quiet:
        yield silent
    elif not terminal:
        yield LineProgress()
    else:
        with _bars() as progress:
            yield progress


class LineProgress:
    """One line when a step begins that counts nothing, one when a step is over."""

    def __init__(self) -> None:
        self._began_s: dict[str, float] = {}

    def __call__(self, step: Step, /) -> None:
        """Write a line where the step begins or ends."""
        if step.name not in self._began_s:
            self._began_s[step.name] = time.monotonic()
            if not step.finished:
                click.echo(f"{step.name} ...", err=True)
        if step.finished:
            took_s = time.monotonic() - self._began_s.pop(step.name)
            remark = f" ({step.note})" if step.note else ""
            click.echo(f"{step.name}: {amount_text(step)}{took_s:.1f} s{remark}", err=True)


def amount_text(step: Step) -> str:
    """What was counted, as ``"12.0 MiB, "`` or ``""`` where nothing was."""
    if step.done is None:
        return ""
    if step.unit == "bytes":
        from slmdeploy.target.units import format_bytes

        return f"{format_bytes(step.done)}, "
    return f"{step.done:,} {step.unit}, "


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    from slmdeploy.transport.prompt import while_asking

    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeElapsedColumn(),
    )
    with (
        Bars(*columns, console=Console(stderr=True)) as bars,
        while_asking(lambda: _paused(bars)),
    ):
        tasks: dict[str, object] = {}

        def show(step: Step, /) -> None:
            if step.name not in tasks:
                tasks[step.name] = bars.add_task(step.name, total=step.total, amount="")
            task = tasks[step.name]
            amount = step.note or amount_text(step).rstrip(", ")
            total = step.total if step.total is not None else (1 if step.finished else None)
            done = total if step.finished else step.done
            bars.update(task, completed=done, total=total, amount=amount)  # type: ignore[arg-type]
            if step.finished:
                del tasks[step.name]

        yield show


@contextmanager
def _paused(bars: Bars) -> Iterator[None]:
    """Draw nothing while a password is asked for: it would stand over the question."""
    bars.stop()
    try:
        yield
    finally:
        bars.start()
