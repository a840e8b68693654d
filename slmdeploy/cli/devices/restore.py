"""``slmdeploy devices restore``."""

from __future__ import annotations

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.devices.names import name_argument
from slmdeploy.cli.options import common, dry_run_option, steal_option

__all__ = ["command"]


@click.command("restore")
@name_argument
@steal_option
@dry_run_option
@common
def command(*, console: Console, name: str, steal: bool, dry_run: bool) -> None:
    """Put back the settings of the device NAME that a measurement left changed.

    Needed only after a restart of the board, or where sudo refused meanwhile: the board puts
    them back by itself, and so does the next measurement.
    """
    from slmdeploy.device.lab.inventory import load_inventory
    from slmdeploy.device.runs.occupancy import put_settings_back, read_occupancy
    from slmdeploy.device.runs.settings_plan import setting_name

    device = load_inventory().get(name)
    if dry_run:
        saved = read_occupancy(device).saved
        rows = () if saved is None else saved.rows
        done = tuple(f"{setting_name(kind, key)}: {value}" for kind, key, value in rows)
    else:
        done = put_settings_back(device, steal=steal)
    verb = "would put back" if dry_run else "put back"
    console.show(
        "slmdeploy/devices-restore/1",
        {"device": name, "dry_run": dry_run, "restored": done},
        lambda: (
            "\n".join(f"{verb} {one}" for one in done)
            or f"All settings of {name} are as they were."
        ),
    )
