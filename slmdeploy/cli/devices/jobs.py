"""``slmdeploy devices jobs``."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import click

from slmdeploy.cli.console import Console, plain, table_text
from slmdeploy.cli.devices.names import name_argument
from slmdeploy.cli.options import common

if TYPE_CHECKING:
    from slmdeploy.device.runs.jobs import FoundJob
    from slmdeploy.device.runs.occupancy import Occupancy

__all__ = ["command"]

_SHOWN = 80
_OURS = re.compile(r"(?<![^\s=:])[^\s=:]*/\.slmdeploy/")
_GUARD = "(puts settings back when the lease is over)"


@click.command("jobs")
@name_argument
@click.option("--stop", metavar="ID", help="End this run, and all that it started.")
@common
def command(console: Console, name: str, stop: str | None) -> None:
    """List what runs on the device NAME, what ran there, and who holds it."""
    from slmdeploy.device.lab.inventory import load_inventory
    from slmdeploy.device.runs.occupancy import read_occupancy, stop_run

    device = load_inventory().get(name)
    if stop is not None:
        stop_run(device, stop)
        console.note(f"{name}: {stop} is ended.")
    found = read_occupancy(device)
    console.show(
        "slmdeploy/devices-jobs/1",
        {
            "device": name,
            "holder": None if found.holder is None else _holder(found),
            "settings": plain(found.saved),
            "jobs": [_document(one) for one in found.jobs],
        },
        lambda: _text(name, found),
    )


def _text(name: str, found: Occupancy) -> str:
    lines = [f"{name} is held by {found.holder}." if found.holder else f"Nobody holds {name}."]
    if found.saved is not None:
        lines.append(f"Settings are {found.saved}.")
        if found.holder is None:
            lines.append(f"Put them back with: slmdeploy devices restore {name}")
    if found.jobs:
        lines.append(
            table_text(
                ["run", "state", "code", "started", "owner", "command"],
                [_row(one) for one in sorted(found.jobs, key=_order)],
            )
        )
    return "\n".join(lines)


def _order(one: FoundJob) -> tuple[bool, float]:
    """What runs stands first, then the newest."""
    age = one.state.age_s
    return one.state.name != "running", math.inf if age is None else age


def _row(one: FoundJob) -> tuple[Any, ...]:
    state = one.state
    age = None if state.age_s is None else f"{state.age_s} s ago"
    code = None if state.code is None else str(state.code)
    text = _GUARD if one.name == "guard" else _short(one.command)
    command = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return one.job.id, state.reason or state.name, code, age, one.owner, command


def _short(command: str) -> str:
    """A command without what is the same in all of them: where our folder is."""
    first, _, rest = command.partition(" ")
    return f"{first.rpartition('/')[2]} {_OURS.sub('', rest)}".strip()


def _document(one: FoundJob) -> dict[str, Any]:
    return {
        "id": one.job.id,
        "kind": one.name,
        "state": one.state.name,
        "code": one.state.code,
        "reason": one.state.reason,
        "age_s": one.state.age_s,
        "owner": one.owner,
        "command": one.command,
    }


def _holder(found: Occupancy) -> dict[str, Any]:
    holder: dict[str, Any] = plain(found.holder)
    del holder["token"]
    return holder
