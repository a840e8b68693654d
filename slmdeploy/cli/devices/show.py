"""``slmdeploy devices show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slmdeploy.cli.console import Console, plain
from slmdeploy.cli.devices.names import name_argument
from slmdeploy.cli.devices.text import value_text
from slmdeploy.cli.options import common

if TYPE_CHECKING:
    from slmdeploy.device.types import Device
    from slmdeploy.transport.ssh.config import SshTarget

__all__ = ["command"]


@click.command("show")
@name_argument
@common
def command(console: Console, name: str) -> None:
    """Show what the inventory says of the device NAME, and how it is reached.

    ~/.ssh/config is followed for that. Does not connect.
    """
    from slmdeploy.device.lab.fingerprint import fingerprint_of
    from slmdeploy.device.lab.inventory import load_inventory

    inventory = load_inventory()
    device = inventory.get(name)
    more = {
        "fingerprint": fingerprint_of(device.host_key),
        "file": inventory.sources.get(name),
        "ssh": _ssh(device) if device.transport == "ssh" else None,
    }
    console.show(
        "slmdeploy/devices-show/1",
        {"device": device, **more},
        lambda: _text({**plain(device), **more}),
    )


def _ssh(device: Device) -> dict[str, Any]:
    from slmdeploy.transport.ssh.config import config_file, config_text, resolve

    target = resolve(device.endpoint)
    return {
        "reached": f"{target.user}@{target.address}",
        "through": _way(target),
        "config": config_file(),
        "remarks": config_text().remarks,
    }


def _way(target: SshTarget) -> list[str]:
    """The jump hosts in the order of the way, or the program."""
    if target.proxy_command:
        return [" ".join(target.proxy_command)]
    hops: list[str] = []
    hop = target.via
    while hop is not None:
        hops.insert(0, f"{hop.user}@{hop.address}")
        hop = hop.via
    return hops


def _text(values: dict[str, Any]) -> str:
    ssh = values.pop("ssh")
    if ssh is not None:
        values["reached as"] = ssh["reached"]
        values["through"] = ", then ".join(ssh["through"]) or None
    lines = [f"{key:<15}{value_text(value)}" for key, value in values.items()]
    return "\n".join([*lines, *(ssh["remarks"] if ssh is not None else ())])
