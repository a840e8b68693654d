"""The group ``slmdeploy devices``: the lab's boards, one command a file."""

from __future__ import annotations

from collections.abc import Mapping

import click

from slmdeploy.cli.lazy import CommandInfo, LazyGroup, command_info

__all__ = ["COMMANDS", "command"]

# In the order in which a board lives.
COMMANDS: Mapping[str, CommandInfo] = {
    "list": command_info("devices.list", "List the devices that are known."),
    "show": command_info("devices.show", "Show what the inventory says of a device."),
}


@click.group("devices", cls=LazyGroup, infos=COMMANDS)
def command() -> None:
    """Keep the lab's boards: add them, check them, look after what is on them."""
