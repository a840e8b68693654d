"""Show progress: bars of rich on a terminal, one line a step elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from slmdeploy.progress import Progress, Step, silent

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

__all__ = ["LineProgress", "amount_text", "left_text", "rate_text", "shown"]

_SHORTEST_S = 0.05
"""What is shown as 0.0 s has no speed."""


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
    """One line when a step begins that counts nothing, one when a step is over.

    A step that is over when it is first heard of is a remark: its name alone.
    Several threads may call it: each device tells of its own steps.

    Args:
        clock: Gives seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, step: Step, /) -> None:
        """Write a line where the step begins or ends."""
        with self._lock:
            began = step.name in self._began_s
            if not began:
                self._began_s[step.name] = self._clock()
                if not step.finished:
                    click.echo(f"{step.name} ...", err=True)
            if step.finished and not began and step.done is None and step.note is None:
                del self._began_s[step.name]
                click.echo(step.name, err=True)
            elif step.finished:
                took_s = self._clock() - self._began_s.pop(step.name)
                remark = f" ({step.note})" if step.note else ""
                rate = rate_text(step, took_s)
                line = f"{step.name}: {amount_text(step)}{took_s:.1f} s{rate}{remark}"
                click.echo(line, err=True)


def amount_text(step: Step) -> str:
    """What was counted, as ``"12.0 MiB, "`` or ``""`` where nothing was."""
    if step.done is None:
        return ""
    if step.unit == "bytes":
        from slmdeploy.target.units import format_bytes

        return f"{format_bytes(step.done)}, "
    return f"{step.done:,} {step.unit}, "


def rate_text(step: Step, seconds: float) -> str:
    """How fast bytes moved, as ``", 110.2 MiB/s"``; ``""`` of anything else.

    A file that is linked on this computer takes no time that one could speak of.
    """
    if step.unit != "bytes" or not step.done or seconds < _SHORTEST_S:
        return ""
    from slmdeploy.target.units import format_bytes

    return f", {format_bytes(int(step.done / seconds))}/s"


def left_text(unit: str, speed: float | None, left_s: float | None) -> str:
    """What a bar says of the rest, as ``"110.2 MiB/s, 7 s left"``; ``""`` unless of bytes.

    Args:
        unit: What the step counts.
        speed: Units a second; ``None`` while it is not known.
        left_s: Seconds that are left; ``None`` while they are not known.
    """
    if unit != "bytes" or not speed:
        return ""
    from slmdeploy.target.units import format_bytes

    rest = "" if not left_s else f", {int(left_s)} s left"
    return f"{format_bytes(int(speed))}/s{rest}"


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Left(ProgressColumn):
        """Rate and time left, of what is moved."""

        def render(self, task: Task) -> Text:
            speed = None if task.finished else task.speed
            return Text(left_text(task.fields["unit"], speed, task.time_remaining))

    from slmdeploy.transport.prompt import while_asking

    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}", markup=False),
        Left(),
        TimeElapsedColumn(),
    )
    with (
        Bars(*columns, console=Console(stderr=True)) as bars,
        while_asking(lambda: _paused(bars)),
    ):
        tasks: dict[str, TaskID] = {}
        lock = threading.Lock()

        def show(step: Step, /) -> None:
            with lock:
                if step.name not in tasks:
                    tasks[step.name] = bars.add_task(
                        step.name, total=step.total, amount="", unit=step.unit
                    )
                task = tasks.pop(step.name) if step.finished else tasks[step.name]
            amount = step.note or _count_text(step)
            total = step.total if step.total is not None else (1 if step.finished else None)
            done = total if step.finished else step.done
            bars.update(task, completed=done, total=total, amount=amount)

        yield show


def _count_text(step: Step) -> str:
    """What a bar says was counted, as ``"12.0 MiB"`` or ``"1 of 3 runs"``."""
    if step.unit == "bytes" or step.done is None or step.total is None or step.finished:
        return amount_text(step).rstrip(", ")
    return f"{step.done:,} of {step.total:,} {step.unit}"


@contextmanager
def _paused(bars: Bars) -> Iterator[None]:
    """Draw nothing while a password is asked for: it would stand over the question."""
    bars.stop()
    try:
        yield
    finally:
        bars.start()
