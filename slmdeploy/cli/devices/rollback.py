"""``slmdeploy devices rollback``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.devices.names import name_argument
from slmdeploy.cli.options import common, dry_run_option

if TYPE_CHECKING:
    from slmdeploy.device.push.deployments import Rollback

__all__ = ["command"]


@click.command("rollback")
@name_argument
@click.argument("version", metavar="BUNDLE[@DIGEST]")
@dry_run_option
@common
def command(*, console: Console, name: str, version: str, dry_run: bool) -> None:
    """Make the version of BUNDLE before the current one current on the device NAME.

    With @DIGEST (its first digits will do) that version instead. Nothing is sent, and the
    version that was current stays: a second rollback returns to it.
    """
    from slmdeploy.steps import deployed

    done = deployed.rollback(name, version, dry_run=dry_run)
    console.show("slmdeploy/devices-rollback/1", vars(done), lambda: _text(done))


def _text(done: Rollback) -> str:
    if done.before == done.now:
        return f"{done.device}: {done.name}@{done.now} is current already"
    verb = "would become" if done.dry_run else "is"
    return f"{done.device}: {done.name}@{done.now} {verb} current, instead of {done.before}"
