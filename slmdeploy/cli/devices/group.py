"""The group ``slmdeploy devices``: the lab's boards, one command a file."""

from __future__ import annotations

from collections.abc import Mapping

import click

from slmdeploy.cli.lazy import CommandInfo, LazyGroup, command_info

__all__ = ["COMMANDS", "command"]

# In the order in which a board lives.
COMMANDS: Mapping[str, CommandInfo] = {
    "add": command_info("devices.add", "Add a board to devices.toml, its host key pinned."),
    "list": command_info("devices.list", "List the devices that are known."),
    "show": command_info("devices.show", "Show what the inventory says of a device."),
    "trust": command_info("devices.trust", "Pin the host key that a board offers now."),
    "provision": command_info("devices.provision", "Bring a runtime to devices, or take it off."),
    "probe": command_info("devices.probe", "Print what a device's sensors say."),
    "jobs": command_info("devices.jobs", "List what runs on a device, and who holds it."),
    "restore": command_info("devices.restore", "Put back settings that were left changed."),
    "deployments": command_info("devices.deployments", "List the bundles that are on devices."),
    "rollback": command_info("devices.rollback", "Go back to the version before."),
    "remove-deployment": command_info(
        "devices.remove_deployment", "Remove a bundle, or a version of one, from a device."
    ),
    "gc": command_info("devices.gc", "Remove from devices what no bundle there uses."),
    "shell": command_info("devices.shell", "Open a shell on a device, where the deployment is."),
    "remove": command_info("devices.remove", "Take a board out of devices.toml."),
}


@click.group("devices", cls=LazyGroup, infos=COMMANDS)
def command() -> None:
    """Keep the lab's boards: add them, check them, look after what is on them."""
