"""``slmdeploy devices list|show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slmdeploy.cli.console import Console, plain, table_text
from slmdeploy.cli.options import common

if TYPE_CHECKING:
    from slmdeploy.device.types import Device

__all__ = ["command"]


@click.group("devices")
def command() -> None:
    """List and show the devices of the lab."""


@command.command("list")
@common
def list_devices(console: Console) -> None:
    """List the devices of devices.toml, and "local", which always exists."""
    from slmdeploy.device.inventory import load_inventory

    found = load_inventory()
    devices = list(found.devices.values())
    console.show(
        "slmdeploy/devices-list/1",
        {"devices": [plain(device) for device in devices], "files": found.files},
        lambda: table_text(
            ["device", "transport", "address", "board", "host key", "labels"],
            [_row(device) for device in devices],
        ),
    )


@command.command("show")
@click.argument("name")
@common
def show_device(console: Console, name: str) -> None:
    """Show what the inventory says of the device NAME; does not connect."""
    from slmdeploy.device.inventory import load_inventory

    device = load_inventory().get(name)
    console.show(
        "slmdeploy/devices-show/1",
        {"device": plain(device)},
        lambda: "\n".join(f"{key:<15}{_shown(value)}" for key, value in plain(device).items()),
    )


def _row(device: Device) -> tuple[Any, ...]:
    user = f"{device.user}@" if device.user else ""
    port = f":{device.port}" if device.port else ""
    address = None if device.host is None else f"{user}{device.host}{port}"
    key = "pinned" if device.host_key else "known_hosts" if device.transport == "ssh" else None
    return device.name, device.transport, address, device.board, key, _shown(device.labels)


def _shown(value: Any) -> str:
    if value is None or value == {}:
        return "-"
    if hasattr(value, "items"):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return str(value)
