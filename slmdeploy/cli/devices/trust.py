"""``slmdeploy devices trust``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.devices.names import name_argument
from slmdeploy.cli.devices.text import key_notes
from slmdeploy.cli.options import common, dry_run_option

if TYPE_CHECKING:
    from slmdeploy.device.lab.adding import Retrusted

__all__ = ["command"]


@click.command("trust")
@name_argument
@click.option(
    "--replace", "replace_old", is_flag=True, help="Give up a key that was trusted before."
)
@click.option("--fingerprint", metavar="SHA256:...", help="Which its host key must have.")
@dry_run_option
@common
def command(
    *, console: Console, name: str, replace_old: bool, fingerprint: str | None, dry_run: bool
) -> None:
    """Pin the host key that the device NAME offers now.

    For a board that was added by hand, and with --replace for one that was set up anew
    (re-imaged). The key's fingerprint is shown, beside the old one, and asked for.
    """
    from slmdeploy.device.lab.adding import trust_device
    from slmdeploy.device.lab.inventory import load_inventory

    done = trust_device(
        name,
        load_inventory(),
        fingerprint=fingerprint,
        replace_old=replace_old,
        dry_run=dry_run,
    )
    for note in key_notes(done.witness, done.stale):
        console.note(note)
    console.show("slmdeploy/devices-trust/1", vars(done), lambda: _text(done))


def _text(done: Retrusted) -> str:
    if not done.changed:
        return f"{done.name}: {done.key.described} is pinned already"
    verb = "would be pinned" if done.dry_run else "pinned"
    instead = f" instead of {done.old.described}" if done.old is not None else ""
    return f"{done.name}: {done.key.described} {verb} in {done.file}{instead}"
