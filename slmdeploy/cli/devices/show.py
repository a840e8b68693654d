"""``slmdeploy devices show``."""

from __future__ import annotations

import click

from slmdeploy.cli.console import Console, plain
from slmdeploy.cli.devices.text import value_text
from slmdeploy.cli.options import common

__all__ = ["command"]


@click.command("show")
@click.argument("name")
@common
def command(console: Console, name: str) -> None:
    """Show what the inventory says of the device NAME; does not connect."""
    from slmdeploy.device.inventory import load_inventory

    device = load_inventory().get(name)
    console.show(
        "slmdeploy/devices-show/1",
        {"device": plain(device)},
        lambda: "\n".join(f"{key:<15}{value_text(value)}" for key, value in plain(device).items()),
    )
