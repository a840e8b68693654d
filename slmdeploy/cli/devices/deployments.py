"""``slmdeploy devices deployments``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console, bytes_text, table_text
from slmdeploy.cli.devices.names import complete_name
from slmdeploy.cli.options import common
from slmdeploy.cli.outcome import finish

if TYPE_CHECKING:
    from slmdeploy.device.push.deployments import Version

__all__ = ["command"]


@click.command("deployments")
@click.argument("devices", metavar="[DEVICE]...", nargs=-1, shell_complete=complete_name)
@common
def command(*, console: Console, devices: tuple[str, ...]) -> int:
    """List the bundles on each DEVICE (a name, label=value or "all"; by default all boards).

    Of each bundle the current version stands first; "devices rollback" goes to the second.
    """
    from slmdeploy.steps import deployed

    attempts = deployed.deployments(devices or ("all",))
    return finish(console, "slmdeploy/devices-deployments/1", attempts, _text)


def _text(device: str, versions: tuple[Version, ...]) -> str:
    if not versions:
        return f"{device}: no deployments"
    rows = [
        (
            f"{version.name}@{version.digest}",
            ", ".join(_states(version)) or None,
            bytes_text(version.bytes),
            version.pushed,
            None if version.runtime is None else version.runtime.removeprefix("runtimes/"),
        )
        for version in versions
    ]
    head = ["deployment", "state", "size", "pushed", "runtime"]
    return f"{device}:\n{table_text(head, rows)}"


def _states(version: Version) -> list[str]:
    return ["current"] * version.current + ["running"] * version.running
