"""``slmdeploy push``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console, bytes_text
from slmdeploy.cli.options import (
    bundle_argument,
    common,
    device_option,
    dry_run_option,
    steal_option,
)
from slmdeploy.cli.outcome import finish

if TYPE_CHECKING:
    from slmdeploy.pipeline import Pushed

__all__ = ["command"]


@click.command("push")
@bundle_argument
@device_option(required=True)
@click.option(
    "--verify", is_flag=True, help="Hash what is there, even if it has not changed since."
)
@steal_option
@dry_run_option
@common
def command(
    *,
    console: Console,
    bundle: Path,
    devices: tuple[str, ...],
    verify: bool,
    steal: bool,
    dry_run: bool,
) -> int:
    """Bring BUNDLE and its runner to each device, to all at once.

    What is there already is not sent again, nor are parts that another version shares, nor
    what arrived before the last push was cut off. The tokenizer and the golden vectors
    stay here. A cut leaves the old bundle or the new one, never half of one. A board that
    somebody measures on is left alone: what is sent would disturb it.
    """
    from slmdeploy import pipeline

    with console.progress() as progress:
        attempts = pipeline.push(
            bundle,
            devices=devices,
            verify=verify,
            dry_run=dry_run,
            steal=steal,
            progress=progress,
        )
    for attempt in attempts:
        for remark in attempt.value.remarks if attempt.value is not None else ():
            console.note(remark)
    more = {"bundle": str(bundle), "dry_run": dry_run}
    return finish(console, "slmdeploy/push/1", attempts, _text, more=more)


def _text(device: str, pushed: Pushed) -> str:
    verb = "would send" if pushed.dry_run else "sent"
    there = bytes_text(pushed.skipped_bytes)
    if pushed.copied_bytes:
        there += f" ({bytes_text(pushed.copied_bytes)} of it in other files)"
    return (
        f"{device}: {verb} {bytes_text(pushed.sent_bytes)}, {there} there already: "
        f"{pushed.bundle_dir}"
    )
