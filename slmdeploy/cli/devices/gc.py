"""``slmdeploy devices gc``."""

from __future__ import annotations

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.devices.names import complete_name
from slmdeploy.cli.devices.text import removed_text
from slmdeploy.cli.options import common, dry_run_option
from slmdeploy.cli.outcome import finish

__all__ = ["command"]


@click.command("gc")
@click.argument(
    "devices", metavar="DEVICE...", nargs=-1, required=True, shell_complete=complete_name
)
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(min=1),
    help="Versions of each bundle that stay; by default 2, the current one and the one before.",
)
@dry_run_option
@common
def command(*, console: Console, devices: tuple[str, ...], keep: int | None, dry_run: bool) -> int:
    """Remove from each DEVICE what no bundle there uses.

    That is: old versions, runtimes that no kept version was pushed with and nobody
    provisioned, content that no folder has, and what cut pushes left. What runs stays.
    """
    from slmdeploy.steps import deployed

    attempts = deployed.gc(devices, keep=keep, dry_run=dry_run)
    for attempt in attempts:
        for remark in attempt.value.remarks if attempt.value is not None else ():
            console.note(remark)
    return finish(
        console,
        "slmdeploy/devices-gc/1",
        attempts,
        lambda device, done: removed_text(device, done, details=console.verbose or dry_run),
        more={"dry_run": dry_run},
    )
