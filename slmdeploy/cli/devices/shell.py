"""``slmdeploy devices shell``."""

from __future__ import annotations

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.devices.names import name_argument
from slmdeploy.cli.options import common
from slmdeploy.errors import UsageError

__all__ = ["command"]


@click.command("shell")
@name_argument
@click.argument("words", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--bundle", metavar="B", help="Open where this bundle is deployed.")
@common
def command(console: Console, name: str, words: tuple[str, ...], bundle: str | None) -> int:
    """Open a shell on the device NAME, in the folder of its current deployment.

    With a COMMAND after --, run that instead. Ends with the exit code of the shell or the
    command; 128 and the number for one that a signal ended.
    """
    from slmdeploy.device.lab.inventory import load_inventory
    from slmdeploy.device.lab.shell import open_shell

    if console.json:
        raise UsageError(
            "A shell has no JSON.", hint="What its command prints is passed on as it is."
        )
    return open_shell(load_inventory().get(name), words, bundle=bundle)
