"""``slmdeploy devices add``."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.devices.text import key_notes
from slmdeploy.cli.options import common, dry_run_option
from slmdeploy.errors import UsageError

if TYPE_CHECKING:
    from slmdeploy.device.lab.adding import Added

__all__ = ["command"]


@click.command("add")
@click.argument("name")
@click.argument("host")
@click.option("--user", metavar="NAME", help="To log in with; by default as ~/.ssh/config says.")
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(1, 65535),
    help="TCP port; by default as ~/.ssh/config says, else 22.",
)
@click.option(
    "--transport",
    type=click.Choice(["ssh", "adb"]),
    default="ssh",
    show_default=True,
    help="How it is reached; adb for Android.",
)
@click.option("--board", metavar="KIND", help="As rpi5; by default read from the board.")
@click.option(
    "--label", "labels", metavar="KEY=VALUE", multiple=True, help="To select by; repeatable."
)
@click.option(
    "--identity-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Private key; by default the agent's and the usual ones.",
)
@click.option("--fingerprint", metavar="SHA256:...", help="Which its host key must have.")
@click.option(
    "--project/--user-file",
    "in_project",
    default=None,
    help="Which devices.toml; by default the project's, where there is a project.",
)
@click.option("--no-login", is_flag=True, help="Do not prove that it lets us in.")
@dry_run_option
@common
def command(*, console: Console, in_project: bool | None, **given: Any) -> None:
    """Add the board at HOST to devices.toml as NAME, its host key pinned.

    HOST is an address, a name, or a Host of ~/.ssh/config. The key's fingerprint is shown
    and asked for, unless known_hosts has it or --fingerprint names it.

    With --transport adb, HOST is the serial of an Android device (adb devices -l), or
    HOST:PORT of one in the network; there is no host key, the device asks on its screen.
    """
    from slmdeploy.device.lab.adding import add_device, file_for
    from slmdeploy.device.lab.inventory import load_inventory
    from slmdeploy.device.project import find_project
    from slmdeploy.device.types import Device

    identity_file = given["identity_file"]
    device = Device(
        name=given["name"],
        transport=given["transport"],
        host=given["host"],
        port=given["port"],
        user=given["user"],
        board=given["board"],
        identity_file=None if identity_file is None else identity_file.absolute(),
        labels=dict(_label(text) for text in given["labels"]),
    )
    added = add_device(
        device,
        file_for(find_project(), choice=in_project),
        load_inventory(),
        fingerprint=given["fingerprint"],
        login=not given["no_login"],
        dry_run=given["dry_run"],
    )
    for note in (*_notes(added), *_unknown_board(added)):
        console.note(note)
    console.show("slmdeploy/devices-add/1", vars(added), lambda: _text(added))
    if not added.dry_run:
        console.note(f"Next: slmdeploy doctor --device {added.device.name}")


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise UsageError(f"--label must be KEY=VALUE, not {text!r}.")
    return key.strip(), value.strip()


def _text(added: Added) -> str:
    verb = "would be added" if added.dry_run else "added"
    key = f", host key {added.key.described}" if added.key is not None else ""
    return f"{added.device.name}: {verb} to {added.file}{key}"


def _unknown_board(added: Added) -> list[str]:
    from slmdeploy.target.load import known_boards

    board, known = added.device.board, known_boards()
    if board is None or board in known:
        return []
    near = difflib.get_close_matches(board, known, 1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return [f"No target is for the board {board!r}.{meant} Targets are for {', '.join(known)}."]


def _notes(added: Added) -> list[str]:
    if added.key is None:
        return ["adb has no host key to pin: the device's own authorization stands for it."]
    notes = key_notes(added.witness, added.stale)
    if added.board_guessed:
        notes.append(
            f"The board says what it is: {added.device.board}. If it is not, give --board."
        )
    elif added.board_reason:
        notes.append(f"No kind of board was written down: {added.board_reason}. See --board.")
    return notes
