"""``slmdeploy devices remove``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.devices.names import name_argument
from slmdeploy.cli.options import common, dry_run_option

if TYPE_CHECKING:
    from slmdeploy.device.lab.adding import Removed

__all__ = ["command"]


@click.command("remove")
@name_argument
@dry_run_option
@common
def command(console: Console, name: str, *, dry_run: bool) -> None:
    """Take the device NAME out of devices.toml; the board is left as it is."""
    from slmdeploy.device.lab.adding import remove_device
    from slmdeploy.device.lab.inventory import load_inventory

    removed = remove_device(name, load_inventory(), dry_run=dry_run)
    console.show("slmdeploy/devices-remove/1", vars(removed), lambda: _text(removed))
    if removed.device.transport == "ssh":
        console.note(
            f"What was pushed stays in ~/.slmdeploy on {removed.device.host}; to free it, run "
            "there: rm -r ~/.slmdeploy"
        )
    if removed.uncovers is not None:
        console.note(f"{name!r} is the device of {removed.uncovers} from now on.")


def _text(removed: Removed) -> str:
    verb = "would be removed" if removed.dry_run else "removed"
    return f"{removed.device.name}: {verb} from {removed.file}"
