"""``slmdeploy devices remove-deployment``."""

from __future__ import annotations

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.devices.names import name_argument
from slmdeploy.cli.devices.text import removed_text
from slmdeploy.cli.options import common, dry_run_option

__all__ = ["command"]


@click.command("remove-deployment")
@name_argument
@click.argument("version", metavar="BUNDLE[@DIGEST]")
@dry_run_option
@common
def command(*, console: Console, name: str, version: str, dry_run: bool) -> None:
    """Remove BUNDLE from the device NAME, or with @DIGEST one version of it.

    What other versions share stays. Refused while it runs.
    """
    from slmdeploy.steps import deployed

    done = deployed.remove_deployment(name, version, dry_run=dry_run)
    console.show(
        "slmdeploy/devices-remove-deployment/1",
        vars(done),
        lambda: removed_text(done.device, done, details=console.verbose or dry_run),
    )
