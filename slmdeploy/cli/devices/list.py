"""``slmdeploy devices list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slmdeploy.cli.console import Console, plain, table_text
from slmdeploy.cli.devices.text import value_text
from slmdeploy.cli.options import common

if TYPE_CHECKING:
    from slmdeploy.device.types import Device

__all__ = ["command"]


@click.command("list")
@common
def command(console: Console) -> None:
    """List the devices of devices.toml, and "local", which always exists."""
    from slmdeploy.device.lab.fingerprint import fingerprint_of
    from slmdeploy.device.lab.inventory import load_inventory

    found = load_inventory()
    devices = list(found.devices.values())
    listed = [
        {
            **plain(device),
            "fingerprint": fingerprint_of(device.host_key),
            "file": found.sources.get(device.name),
        }
        for device in devices
    ]
    console.show(
        "slmdeploy/devices-list/1",
        {"devices": listed, "files": found.files},
        lambda: table_text(
            ["device", "transport", "address", "board", "host key", "labels"],
            [_row(device) for device in devices],
        ),
    )


def _row(device: Device) -> tuple[Any, ...]:
    user = f"{device.user}@" if device.user else ""
    port = f":{device.port}" if device.port else ""
    address = None if device.host is None else f"{user}{device.host}{port}"
    key = "pinned" if device.host_key else "known_hosts" if device.transport == "ssh" else None
    return device.name, device.transport, address, device.board, key, value_text(device.labels)
